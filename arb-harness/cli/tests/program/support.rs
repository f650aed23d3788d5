//! Runs the program and reads its files.

use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use arb_core::Frame;
use arb_harness::redb_store::RedbStore;
use arb_lab::demo::Scenario;
use arb_log::{Batch, Condition, Key, Reader, Storage, frame};
use serde_json::Value;

/// How a run ended.
pub struct Ran {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

/// The program with these arguments.
pub fn command<A: AsRef<std::ffi::OsStr>>(arguments: &[A]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_arb"));
    command
        .args(arguments)
        .env("RUST_BACKTRACE", "1")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Runs the program. Its output must never have a panic or a colour.
pub fn arb<A: AsRef<std::ffi::OsStr>>(arguments: &[A]) -> Ran {
    let output = command(arguments).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let (stdout, stderr) = (text(output.stdout), text(output.stderr));
    for text in [&stdout, &stderr] {
        assert!(!text.contains("panicked") && !text.contains("backtrace") && !text.contains('\u{1b}'), "{text}");
    }
    Ran { code: output.status.code().expect("a signal ended it"), stdout, stderr }
}

/// Runs it with `--json`; standard output must be one object on one line.
pub fn json<A: AsRef<std::ffi::OsStr>>(arguments: &[A]) -> (i32, Value) {
    let mut all: Vec<&std::ffi::OsStr> = arguments.iter().map(AsRef::as_ref).collect();
    all.push("--json".as_ref());
    let ran = arb(&all);
    assert_eq!(ran.stdout.lines().count(), 1, "{}\n{}", ran.stdout, ran.stderr);
    let value: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(value["schema"], 1);
    (ran.code, value)
}

/// Runs it and expects exit code 2, nothing on standard output, and one line on standard error, which is the answer.
pub fn refused<A: AsRef<std::ffi::OsStr> + std::fmt::Debug>(arguments: &[A]) -> String {
    let ran = arb(arguments);
    assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{arguments:?}: {}", ran.stderr);
    assert_eq!(ran.stderr.lines().count(), 1, "{arguments:?}: {}", ran.stderr);
    assert!(ran.stderr.starts_with("arb: "), "{arguments:?}: {}", ran.stderr);
    ran.stderr
}

/// A folder that is removed with this value. In memory if possible: no test cuts the power, so a free sync proves as much.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new(name: &str) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let memory = PathBuf::from("/dev/shm");
        let root = if memory.is_dir() { memory } else { std::env::temp_dir() };
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = root.join(format!("arb-program-{name}-{}-{number}", std::process::id()));
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    pub fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// The names of the files in it, in order.
    pub fn files(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.0).unwrap();
        let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _gone = fs::remove_dir_all(&self.0);
    }
}

/// A played scenario and its files.
pub struct Kept {
    pub folder: Folder,
    pub journal: PathBuf,
    pub chain: PathBuf,
    pub report: Value,
}

/// Plays a scenario to its end and keeps its files.
pub fn kept(name: &str) -> Kept {
    let folder = Folder::new(name);
    let (code, report) = json(&["demo", "--scenario", name, "--keep", folder.path().to_str().unwrap()]);
    assert_eq!(code, 0, "{report}");
    let (journal, chain) = files(&folder, name);
    Kept { folder, journal, chain, report }
}

/// A scenario's files in a folder.
pub fn files(folder: &Folder, name: &str) -> (PathBuf, PathBuf) {
    let scenario = Scenario::all().into_iter().find(|scenario| scenario.name() == name).unwrap();
    let stem = scenario.file_stem();
    (folder.join(&format!("{stem}.redb")), folder.join(&format!("{stem}.chain")))
}

/// Every frame of a journal, read from a copy, because opening a database may repair it.
pub fn frames(journal: &Path) -> Vec<Frame> {
    let copies = Folder::new("copy");
    let copy = copies.join("copy.redb");
    fs::copy(journal, &copy).unwrap();
    let reader = Reader::open(RedbStore::open(&copy).unwrap()).unwrap();
    let mut frames = Vec::new();
    let all = reader.frames(|frame| {
        frames.push(frame);
        ControlFlow::<()>::Continue(())
    });
    all.unwrap();
    frames
}

/// A new journal with these frames.
pub fn write_journal(path: &Path, frames: &[Frame]) {
    let rows = frames.iter().map(|frame| (frame.sequence, frame::encode_frame(frame).unwrap()));
    write_rows(path, rows.collect());
}

/// A new journal with these rows for frames.
pub fn write_rows(path: &Path, rows: Vec<(u64, Vec<u8>)>) {
    let mut store = RedbStore::create(path).unwrap();
    let owner: Condition = store.claim().unwrap();
    let appended = rows.len() as u64;
    let put = rows.into_iter().map(|(sequence, row)| (Key::frame(sequence), row)).collect();
    store.write(owner, &Batch { put, appended, ..Batch::default() }).unwrap();
}

/// Numbers from a seed (xorshift64*).
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }
}

/// A report without what differs after kills: the counts of the journal and of this run, and the txids.
pub fn end(report: &Value) -> Value {
    let mut scenario = report["scenarios"][0].clone();
    let object = scenario.as_object_mut().unwrap();
    for count in ["appends", "restarts", "journal_bytes", "blocks"] {
        object.remove(count).unwrap();
    }
    for contract in object["contracts"].as_array_mut().unwrap() {
        contract.as_object_mut().unwrap().remove("txids").unwrap();
    }
    scenario
}

//! The floors of the crate (front page, "Where a line belongs"): a file names only files on lower floors, no files name each
//! other in a circle, and only the listed files have `impl` blocks for the two arbitrators.
//!
//! The test reads the sources: every `crate::` and `super::` path outside comments and strings, in `use` trees and inline, and
//! every path of a module file through a child that it declares. A path through a re-export at the crate's root is refused,
//! because it hides which floor it leads to.

#![allow(clippy::arithmetic_side_effects, clippy::indexing_slicing, reason = "it reads sources that are checked in")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// The rooms from the ground up. Rooms of one floor do not name each other.
const FLOORS: &[&[&str]] = &[
    &["bolt3"],
    &["api"],
    &["sweep"],
    &["channel"],
    &["resolver"],
    &["view"],
    &["claims"],
    &["court"],
    &["admit", "decide"],
    &["check"],
    &["step"],
    &["replay"],
];

/// Rooms whose files may name each other in a circle: resolvers hand off to each other.
const RECURSIVE: &[&str] = &["resolver"];

/// The files that may have `impl` blocks for an arbitrator.
const IMPLS: &[(&str, &[&str])] = &[
    (
        "ChainArbitrator",
        &["check.rs", "court/apply.rs", "court/docket.rs", "court/mod.rs", "court/reserve.rs", "replay.rs", "step.rs"],
    ),
    (
        "ChannelArbitrator",
        &[
            "channel/age.rs",
            "channel/apply.rs",
            "channel/asked.rs",
            "channel/classify.rs",
            "channel/early.rs",
            "channel/mod.rs",
            "channel/raised.rs",
            "channel/rebuild.rs",
            "channel/replaced.rs",
            "channel/state.rs",
        ],
    ),
];

/// Sources by their path below `src`.
type Tree = BTreeMap<String, String>;

fn sources() -> Tree {
    fn read(folder: &Path, below: &Path, tree: &mut Tree) {
        for entry in std::fs::read_dir(folder).expect("a folder of sources") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                read(&path, below, tree);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                let name = path.strip_prefix(below).expect("below src").to_str().expect("a readable name").to_owned();
                tree.insert(name, std::fs::read_to_string(&path).expect("a readable source"));
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut tree = Tree::new();
    read(&root, &root, &mut tree);
    tree
}

/// The source with comments, strings and characters blanked out; lines keep their numbers.
fn code_of(source: &str) -> String {
    let chars: Vec<char> = source.chars().collect();
    let (mut out, mut at) = (String::new(), 0);
    let blank = |out: &mut String, from: usize, to: usize| {
        out.extend(chars[from..to].iter().map(|c| if *c == '\n' { '\n' } else { ' ' }));
    };
    let find = |from: usize, end: &str| {
        let end: Vec<char> = end.chars().collect();
        (from..chars.len()).find(|at| chars[*at..].starts_with(&end)).map_or(chars.len(), |at| at + end.len())
    };
    while at < chars.len() {
        let rest = &chars[at..];
        let end = match rest {
            ['/', '/', ..] => find(at, "\n") - usize::from(find(at, "\n") < chars.len()),
            ['/', '*', ..] => find(at + 2, "*/"),
            ['r', '#', '"', ..] => find(at + 3, "\"#"),
            ['"', ..] => {
                let mut end = at + 1;
                while end < chars.len() && chars[end] != '"' {
                    end += if chars[end] == '\\' { 2 } else { 1 };
                }
                (end + 1).min(chars.len())
            }
            ['\'', '\\', ..] => find(at + 3, "'"),
            ['\'', _, '\'', ..] => at + 3,
            _ => {
                out.push(chars[at]);
                at += 1;
                continue;
            }
        };
        blank(&mut out, at, end);
        at = end;
    }
    out
}

/// One path as it is written: its line, its segments, and how many inline modules surround it.
#[derive(Debug, PartialEq)]
struct Written {
    line: usize,
    segments: Vec<String>,
    inside: usize,
}

/// Every path that begins with `crate`, `super` or one of these names; trees are followed.
fn paths_of(code: &str, children: &BTreeSet<String>) -> Vec<Written> {
    let words: Vec<(usize, String)> = words_of(code);
    let (mut out, mut depth, mut inline) = (Vec::new(), 0_usize, Vec::new());
    let mut at = 0;
    while at < words.len() {
        let word = |offset: usize| words.get(at + offset).map_or("", |(_, word)| word.as_str());
        let starts = ["crate", "super"].contains(&word(0)) || children.contains(word(0));
        if word(0) == "mod" && word(2) == "{" {
            inline.push(depth);
        }
        if word(0) == "{" {
            depth += 1;
        } else if word(0) == "}" {
            depth = depth.saturating_sub(1);
            if inline.last() == Some(&depth) {
                inline.pop();
            }
        }
        let begins = at == 0 || words[at - 1].1 != "::";
        if starts && begins && word(1) == "::" {
            let mut segments = Vec::new();
            let mut found = Vec::new();
            at = tree(&words, at, &mut segments, &mut found);
            out.extend(found.into_iter().map(|(line, segments)| Written { line, segments, inside: inline.len() }));
        } else {
            at += 1;
        }
    }
    out
}

/// Identifiers, `::` and single signs, with their lines.
fn words_of(code: &str) -> Vec<(usize, String)> {
    let mut words: Vec<(usize, String)> = Vec::new();
    for (line, text) in (1..).zip(code.lines()) {
        let mut glued = false;
        for sign in text.chars() {
            let in_word = sign.is_alphanumeric() || sign == '_';
            match words.last_mut() {
                Some((_, last)) if glued && in_word && last.ends_with(|c: char| c.is_alphanumeric() || c == '_') => {
                    last.push(sign);
                }
                Some((_, last)) if glued && sign == ':' && last == ":" => last.push(sign),
                _ if sign.is_whitespace() => {}
                _ => words.push((line, sign.to_string())),
            }
            glued = !sign.is_whitespace();
        }
    }
    words
}

/// Follows one path, or tree of paths, from `at`; answers where it ends.
fn tree(
    words: &[(usize, String)],
    mut at: usize,
    prefix: &mut Vec<String>,
    out: &mut Vec<(usize, Vec<String>)>,
) -> usize {
    let before = prefix.len();
    while let Some((line, word)) = words.get(at) {
        if word == "{" {
            at += 1;
            while words.get(at).is_some_and(|(_, word)| word != "}") {
                at = if words[at].1 == "," { at + 1 } else { tree(words, at, prefix, out) };
            }
            at += 1;
            break;
        }
        prefix.push(word.clone());
        at += 1;
        if words.get(at).is_some_and(|(_, word)| word == "::") {
            at += 1;
            continue;
        }
        out.push((*line, prefix.clone()));
        if words.get(at).is_some_and(|(_, word)| word == "as") {
            at += 2;
        }
        break;
    }
    prefix.truncate(before);
    at
}

/// The module of a file: `court/mod.rs` is `court`, `lib.rs` is the root.
fn module_of(file: &str) -> Vec<String> {
    let mut module: Vec<String> = file.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
    if module.last().is_some_and(|last| last == "mod" || last == "lib") {
        module.pop();
    }
    module
}

fn children_of(code: &str) -> BTreeSet<String> {
    let words = words_of(code);
    let declared = words.windows(3).filter(|three| three[0].1 == "mod" && three[2].1 == ";");
    declared.map(|three| three[1].1.clone()).collect()
}

/// The files that one file names, each with the line, and whether that line is in an inline (test) module.
fn arrows_of(
    file: &str,
    source: &str,
    modules: &BTreeMap<Vec<String>, String>,
) -> Vec<(usize, Result<String, String>, bool)> {
    let code = code_of(source);
    let children = children_of(&code);
    let module = module_of(file);
    let mut arrows = Vec::new();
    for written in paths_of(&code, &children) {
        let mut segments = written.segments.as_slice();
        let mut from = module.clone();
        let mut inside = written.inside;
        if segments[0] == "crate" {
            from.clear();
            segments = &segments[1..];
        }
        while segments.first().is_some_and(|segment| segment == "super") {
            if inside > 0 {
                inside -= 1;
            } else {
                from.pop();
            }
            segments = &segments[1..];
        }
        let full: Vec<String> = from.into_iter().chain(segments.iter().cloned()).collect();
        let found = (1..=full.len()).rev().find_map(|length| modules.get(&full[..length]));
        let target = found.cloned().ok_or_else(|| written.segments.join("::"));
        if target.as_deref() != Ok(file) {
            arrows.push((written.line, target, written.inside > 0));
        }
    }
    arrows
}

fn room_of(file: &str) -> &str {
    file.split('/').next().unwrap_or(file).trim_end_matches(".rs")
}

fn floor_of(file: &str) -> Option<usize> {
    FLOORS.iter().position(|rooms| rooms.contains(&room_of(file)))
}

/// The faults of a tree of sources, one line each.
fn faults(tree: &Tree) -> Vec<String> {
    let modules: BTreeMap<Vec<String>, String> =
        tree.keys().filter(|file| *file != "lib.rs").map(|file| (module_of(file), file.clone())).collect();
    let mut faults = Vec::new();
    let mut graph: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for (file, source) in tree.iter().filter(|(file, _)| *file != "lib.rs") {
        let Some(floor) = floor_of(file) else {
            faults.push(format!("{file} is in no room"));
            continue;
        };
        for (line, target, in_tests) in arrows_of(file, source, &modules) {
            match target {
                Err(path) => faults.push(format!("{file}:{line} names {path}, which no module below the root has")),
                Ok(target) if room_of(&target) != room_of(file) && floor_of(&target) >= Some(floor) => {
                    faults.push(format!("{file}:{line} names {target}, which is not below it"));
                }
                Ok(target) => {
                    if !in_tests {
                        graph.entry(file).or_default().insert(target);
                    }
                }
            }
        }
        for (arbitrator, allowed) in IMPLS {
            if implements(&code_of(source), arbitrator) && !allowed.contains(&file.as_str()) {
                faults.push(format!("{file} has an impl block for {arbitrator}"));
            }
        }
    }
    faults.extend(circles(&graph));
    faults
}

fn implements(code: &str, arbitrator: &str) -> bool {
    let words = words_of(code);
    words.windows(2).enumerate().any(|(at, pair)| {
        let is_impl = ["impl", "for", ">"].contains(&pair[0].1.as_str()) && pair[1].1 == arbitrator;
        is_impl && words[..=at].iter().rev().take(24).any(|(_, word)| word == "impl")
    })
}

/// Files that name each other in a circle, except in the rooms where they may.
fn circles(graph: &BTreeMap<&str, BTreeSet<String>>) -> Vec<String> {
    let reaches = |from: &str| {
        let (mut seen, mut open) = (BTreeSet::new(), vec![from.to_owned()]);
        while let Some(file) = open.pop() {
            for next in graph.get(file.as_str()).into_iter().flatten() {
                if seen.insert(next.clone()) {
                    open.push(next.clone());
                }
            }
        }
        seen
    };
    let mut found = Vec::new();
    for file in graph.keys().filter(|file| !RECURSIVE.contains(&room_of(file))) {
        if reaches(file).contains(*file) {
            found.push(format!("{file} names itself in a circle"));
        }
    }
    found
}

#[test]
fn every_file_names_only_what_lies_below_it() {
    let found = faults(&sources());
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn every_listed_file_has_the_impl_block_that_it_is_listed_for() {
    let tree = sources();
    for (arbitrator, files) in IMPLS {
        for file in *files {
            let source = tree.get(*file).expect(file);
            assert!(implements(&code_of(source), arbitrator), "{file} has no impl block for {arbitrator}");
        }
    }
}

/// The faults of the sources with one line added at the end of a file.
fn planted(file: &str, line: &str) -> Vec<String> {
    let mut tree = sources();
    tree.get_mut(file).expect("a source").push_str(line);
    faults(&tree)
}

#[test]
fn a_planted_arrow_up_is_found_however_it_is_written() {
    let up = [
        "use crate::decide::bench::Bench;",
        "use crate::{api::units::Height, decide::bench::Bench as B};",
        "fn f() { let x = crate::decide::bench::f(); }",
        "use super::super::decide::bench::Bench;",
        "use super::{chain::Level, super::decide::{bench::Bench}};",
        "mod tests { use super::super::super::decide::bench::Bench; }",
    ];
    for line in up {
        let found = planted("channel/asked.rs", line);
        assert_eq!(found.len(), 1, "{line}: {found:?}");
        assert!(found[0].contains("names decide/bench.rs, which is not below it"), "{line}: {found:?}");
    }
    let across = planted("decide/upstream.rs", "use crate::admit::admission::Admission;");
    assert!(across[0].contains("names admit/admission.rs, which is not below it"), "{across:?}");
}

#[test]
fn comments_and_strings_name_nothing() {
    let quiet = [
        "// crate::decide::bench::Bench",
        "/* crate::decide::bench::Bench */",
        "const X: &str = \"crate::decide::bench::Bench\";",
        "const X: &str = \"\\\"crate::decide::bench\";",
        "/// [`crate::step::Step`]\nfn f() {}",
    ];
    for line in quiet {
        assert_eq!(planted("channel/asked.rs", line), Vec::<String>::new(), "{line}");
    }
}

#[test]
fn a_path_through_the_root_and_an_impl_elsewhere_and_a_circle_are_found() {
    let root = planted("court/due.rs", "use crate::Height;");
    assert!(root.len() == 1 && root[0].contains("names crate::Height"), "{root:?}");
    let block = planted("view/wake.rs", "impl ChannelArbitrator { fn f() {} }");
    assert!(block.len() == 1 && block[0] == "view/wake.rs has an impl block for ChannelArbitrator", "{block:?}");
    let of_trait = planted("view/wake.rs", "impl Clone for ChainArbitrator {}");
    assert!(of_trait.len() == 1 && of_trait[0] == "view/wake.rs has an impl block for ChainArbitrator", "{of_trait:?}");
    let circle = planted("channel/requests.rs", "use crate::channel::state::HtlcState;");
    assert!(circle.iter().any(|fault| fault == "channel/requests.rs names itself in a circle"), "{circle:?}");
    let child = planted("channel/requests.rs", "use crate::channel::Commitment;");
    assert!(child.iter().any(|fault| fault == "channel/mod.rs names itself in a circle"), "{child:?}");
    let nowhere = faults(&Tree::from([("attic.rs".to_owned(), String::new())]));
    assert_eq!(nowhere, ["attic.rs is in no room"]);
}

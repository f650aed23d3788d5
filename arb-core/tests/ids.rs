//! Every id that a comment, a string, a document or a name cites is defined once: rules and invariants in
//! `architecture.md`, incidents and duties in `incidents.md`. No section is cited without its document.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test may fail by panicking, in its helpers too"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

/// The families of ids, by the letters before the number.
const FAMILIES: [&str; 17] =
    ["A", "B", "D", "F", "G", "H", "I", "L", "LC", "LL", "LR", "MC", "R", "RC", "RL", "RR", "V"];

/// Types that look like an id in the name of a function.
const PRIMITIVES: [&str; 6] = ["f32", "f64", "i16", "i32", "i64", "i128"];

/// Where ids are defined: rules and invariants, then everything else.
const FRONT_PAGE: &str = "arb-core/src/architecture.md";
const PAGE: &str = "arb-core/src/incidents.md";

/// This file, whose examples are wrong on purpose.
const THIS: &str = "arb-core/tests/ids.rs";

/// Folders without sources of ours: build output, data of others, seeds of failed properties.
const SKIPPED: [&str; 4] = ["target", "testdata", "corpus", "proptest-regressions"];

/// An id: its letters, its number, and the number after a dot.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Id {
    family: String,
    number: u32,
    part: Option<u32>,
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.family, self.number)?;
        self.part.map_or(Ok(()), |part| write!(f, ".{part}"))
    }
}

impl Id {
    /// The id at the start of a text, and what follows it.
    fn at(text: &str) -> Option<(Self, &str)> {
        let (family, rest) = split_while(text, |letter| letter.is_ascii_uppercase());
        let (number, mut rest) = number_at(rest)?;
        let mut part = None;
        if let Some((after_dot, after)) = rest.strip_prefix('.').and_then(number_at) {
            (part, rest) = (Some(after_dot), after);
        }
        let ends = !rest.starts_with(is_word);
        (ends && FAMILIES.contains(&family)).then(|| (Self { family: family.to_owned(), number, part }, rest))
    }

    /// The ids after this one up to the end of a range: `–9`, `-9`, `–B9`, ` to B9`, ` – B9`.
    fn range(&self, rest: &str) -> Vec<Self> {
        let same = |text: &str| Self::at(text).filter(|(id, _)| id.family == self.family).map(|(id, _)| id.number);
        let joined = rest.strip_prefix(['–', '-']).and_then(|rest| {
            let bare = number_at(rest).filter(|(_, after)| !after.starts_with(is_word)).map(|(number, _)| number);
            bare.or_else(|| same(rest))
        });
        let spaced = || [" to ", " – ", " - "].iter().find_map(|word| same(rest.strip_prefix(word)?));
        let last = if self.part.is_some() { None } else { joined.or_else(spaced) };
        (self.number + 1..=last.unwrap_or(self.number)).map(|number| Self { number, ..self.clone() }).collect()
    }
}

fn is_word(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_'
}

fn split_while(text: &str, belongs: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(|letter| !belongs(letter)).unwrap_or(text.len()))
}

/// A number of at most three digits without leading zeros.
fn number_at(text: &str) -> Option<(u32, &str)> {
    let (digits, rest) = split_while(text, |letter| letter.is_ascii_digit());
    let plain = digits.len() <= 3 && (digits == "0" || !digits.starts_with('0'));
    plain.then(|| digits.parse().ok()).flatten().map(|number| (number, rest))
}

/// The ids in a line of prose, ranges with everything between their ends.
fn ids_in(line: &str) -> Vec<Id> {
    let mut ids = Vec::new();
    let mut before = ' ';
    for (at, letter) in line.char_indices() {
        if !is_word(before) {
            if let Some((id, rest)) = Id::at(&line[at..]) {
                ids.extend(id.range(rest));
                ids.push(id);
            }
        }
        before = letter;
    }
    ids
}

/// The ids before what a name says: `b7_b43_each_of` cites two, `invariant_i9_holds` one, `f64_of` and `b1` none.
fn ids_of_name(name: &str) -> Vec<Id> {
    let words: Vec<&str> = name.strip_prefix("invariant_").unwrap_or(name).split('_').collect();
    let cites = |word: &&&str| !PRIMITIVES.contains(word) && **word == word.to_lowercase();
    let id = |word: &&str| Id::at(&word.to_uppercase()).filter(|(_, rest)| rest.is_empty()).map(|(id, _)| id);
    let ids: Vec<Id> = words.iter().take_while(cites).map_while(id).collect();
    if ids.len() < words.len() { ids } else { Vec::new() }
}

/// Whether a section is cited by its number on a line that names neither a BOLT nor a BIP nor a file. The number may be the
/// next line's first word.
fn bare_section(line: &str, next: &str) -> bool {
    let line = line.to_lowercase();
    let numbered = |text: &str| text.trim_start().starts_with(|letter: char| letter.is_ascii_digit());
    let cites = |word: &str| {
        line.match_indices(word).any(|(at, _)| {
            let (before, after) = (&line[..at], &line[at + word.len()..]);
            let number = if after.trim().is_empty() { next.trim_start_matches(['/', '!', '*', ' ']) } else { after };
            !before.ends_with(is_word) && numbered(number)
        })
    };
    let document = ["bolt", "bip", ".md", ".rs", ".txt"].iter().any(|name| line.contains(name));
    !document && ["section", "sections", "§"].into_iter().any(cites)
}

/// A Rust source as two texts with the same lines: comments and the insides of strings, and code.
#[derive(Default)]
struct Split {
    prose: String,
    code: String,
}

impl Split {
    fn of(mut rest: &str) -> Self {
        let mut split = Self::default();
        while let Some(first) = rest.chars().next() {
            let comment = comment_len(rest);
            let raw = raw_string_len(rest);
            let len = comment
                .or(raw)
                .or_else(|| (first == '"').then(|| string_len(rest)))
                .or_else(|| char_len(rest))
                .unwrap_or_else(|| split_while(rest, is_word).0.len().max(first.len_utf8()));
            let (token, after) = rest.split_at(len);
            match first {
                '"' => split.put(&without_escapes(token), true),
                _ => split.put(token, comment.is_some() || raw.is_some()),
            }
            rest = after;
        }
        split
    }

    fn put(&mut self, token: &str, is_prose: bool) {
        let blank: String = token.chars().map(|letter| if letter == '\n' { '\n' } else { ' ' }).collect();
        let (prose, code) = if is_prose { (token, blank.as_str()) } else { (blank.as_str(), token) };
        self.prose.push_str(prose);
        self.code.push_str(code);
    }
}

/// The length of the comment that a text begins with. Block comments nest.
fn comment_len(text: &str) -> Option<usize> {
    if text.starts_with("//") {
        return Some(text.find('\n').unwrap_or(text.len()));
    }
    let (mut at, mut depth) = (0, 0_u32);
    loop {
        match text.get(at..at + 2) {
            Some("/*") => (at, depth) = (at + 2, depth + 1),
            _ if depth == 0 => return None,
            Some("*/") if depth == 1 => return Some(at + 2),
            Some("*/") => (at, depth) = (at + 2, depth - 1),
            _ => at += text[at..].chars().next()?.len_utf8(),
        }
    }
}

/// The length of the raw string that a text begins with: `r"…"`, `br#"…"#`.
fn raw_string_len(text: &str) -> Option<usize> {
    let inner = text.strip_prefix(['b', 'c']).unwrap_or(text).strip_prefix('r')?;
    let (hashes, inner) = split_while(inner, |letter| letter == '#');
    let inner = inner.strip_prefix('"')?;
    let end = format!("\"{hashes}");
    let opening = text.len() - inner.len();
    Some(inner.find(&end).map_or(text.len(), |at| opening + at + end.len()))
}

fn string_len(text: &str) -> usize {
    let mut escaped = false;
    for (at, letter) in text.char_indices().skip(1) {
        match letter {
            '"' if !escaped => return at + 1,
            letter => escaped = letter == '\\' && !escaped,
        }
    }
    text.len()
}

/// The length of a character; a lifetime is none.
fn char_len(text: &str) -> Option<usize> {
    let inner = text.strip_prefix('\'')?;
    let first = inner.chars().next()?;
    if first == '\\' {
        return inner.get(2..)?.find('\'').map(|at| 1 + 2 + at + 1);
    }
    inner[first.len_utf8()..].starts_with('\'').then(|| first.len_utf8() + 2)
}

/// A string with blanks for its escapes: the `n` of a line break is no letter before an id.
fn without_escapes(string: &str) -> String {
    let mut out = String::new();
    let mut rest = string;
    while let Some(at) = rest.find('\\') {
        let (before, escape) = rest.split_at(at);
        let len = match escape.as_bytes().get(1) {
            Some(b'u') => escape.find('}').map_or(2, |end| end + 1),
            Some(b'x') => 4,
            Some(b'\n') | None => 1,
            Some(_) => 2,
        };
        out.push_str(before);
        out.push(' ');
        rest = escape.get(len..).unwrap_or("");
    }
    out + rest
}

/// The names of functions in a line of code.
fn functions(code: &str) -> impl Iterator<Item = &str> {
    let mut words = code.split(|letter| !is_word(letter)).filter(|word| !word.is_empty());
    core::iter::from_fn(move || {
        words.find(|word| *word == "fn")?;
        words.next()
    })
}

/// What is wrong, and where each id is cited.
#[derive(Default)]
struct Findings {
    faults: Vec<String>,
    cited: BTreeMap<Id, BTreeSet<String>>,
}

impl Findings {
    fn cite(&mut self, place: &str, ids: Vec<Id>) {
        for id in ids {
            self.cited.entry(id).or_default().insert(place.to_owned());
        }
    }

    /// Reads a source, by its path in the repository.
    fn read(&mut self, path: &str, text: &str) {
        let stem = Path::new(path).file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        self.cite(path, ids_of_name(stem));
        let rust = path.ends_with(".rs");
        let split = if rust { Split::of(text) } else { Split { prose: text.to_owned(), code: String::new() } };
        let lines: Vec<&str> = split.prose.lines().collect();
        for (index, line) in lines.iter().enumerate() {
            let place = format!("{path}:{}", index + 1);
            if bare_section(line, lines.get(index + 1).unwrap_or(&"")) {
                self.faults.push(format!("{place}: a section of no document"));
            }
            self.cite(&place, ids_in(line));
        }
        for (index, line) in split.code.lines().enumerate() {
            functions(line).for_each(|name| self.cite(&format!("{path}:{}", index + 1), ids_of_name(name)));
        }
    }

    /// Compares what is cited with what the two pages define.
    fn judge(mut self, front_page: &str, page: &str) -> Vec<String> {
        let mut defined = BTreeSet::new();
        for (path, text) in [(FRONT_PAGE, front_page), (PAGE, page)] {
            for (index, line) in text.lines().enumerate() {
                let place = format!("{path}:{}", index + 1);
                let Some(id) = definition(path, line) else { continue };
                let elsewhere = |places: &BTreeSet<String>| places.iter().any(|place| !place.starts_with(PAGE));
                if path == PAGE && !self.cited.get(&id).is_some_and(elsewhere) {
                    self.faults.push(format!("{place}: {id} is cited nowhere"));
                }
                if path == PAGE && line.split('|').filter(|cell| !cell.trim().is_empty()).count() != 3 {
                    self.faults.push(format!("{place}: {id} has no text or no source"));
                }
                if !defined.insert(id.clone()) {
                    self.faults.push(format!("{place}: {id} is defined twice"));
                }
            }
        }
        for (id, places) in self.cited.iter().filter(|(id, _)| !defined.contains(id)) {
            self.faults.extend(places.iter().map(|place| format!("{place}: {id} is not defined")));
        }
        self.faults
    }
}

/// The id that a line of a page defines: `- **R1** …` on the front page, `| B1 | …` on the other.
fn definition(path: &str, line: &str) -> Option<Id> {
    let (before, after) = match path {
        FRONT_PAGE => ("- **", "** "),
        PAGE => ("| ", " | "),
        _ => return None,
    };
    Id::at(line.strip_prefix(before)?).filter(|(_, rest)| rest.starts_with(after)).map(|(id, _)| id)
}

/// Every source below a folder.
fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy();
        if path.is_dir() {
            if !name.starts_with('.') && !SKIPPED.contains(&name.as_ref()) {
                sources(&path, found);
            }
        } else if [".rs", ".md", ".txt", ".toml"].iter().any(|end| name.ends_with(end)) {
            found.push(path);
        }
    }
}

#[test]
fn every_id_is_defined_once_and_cited_and_every_section_has_a_document() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut paths = Vec::new();
    sources(&root, &mut paths);
    paths.sort();
    let mut findings = Findings::default();
    let relative = |path: &Path| path.strip_prefix(&root).unwrap().to_string_lossy().replace('\\', "/");
    for path in paths.iter().filter(|path| relative(path) != THIS) {
        findings.read(&relative(path), &fs::read_to_string(path).unwrap());
    }
    let page = |path: &str| fs::read_to_string(root.join(path)).unwrap();
    let faults = findings.judge(&page(FRONT_PAGE), &page(PAGE));
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

/// The faults of one source, with pages that define R1, B1, B2 and B2.1, all of them cited.
fn faults(path: &str, text: &str) -> Vec<String> {
    faults_with_page("| B1 | a | b |\n| B2 | a | b |\n| B2.1 | a | b |", path, text)
}

fn faults_with_page(page: &str, path: &str, text: &str) -> Vec<String> {
    let mut findings = Findings::default();
    findings.read("cited.md", "B1 B2 B2.1");
    findings.read(path, text);
    findings.judge("- **R1** a rule.", page)
}

#[test]
fn an_undefined_id_is_found_wherever_it_is_cited() {
    for source in [
        "// B9",
        "/// (B1, B9).",
        "//! B9: why",
        "/* a\n * B9 */",
        "/* /* */ B9 */",
        "let a = \"B9\";",
        "r#\"\"B9\"#",
        "b\"B9\"",
        "\"a\\nB9\"",
        "\"a\\\"B9\"",
        "fn b9_holds() {}",
        "fn b1_b9_hold() {}",
        "fn invariant_b9_holds() {}",
        "let c = '\"'; // B9",
        "fn f<'a>(a: &'a str) {} // B9",
        "// B1–9",
        "// B1-B9",
        "#[doc = \"B9\"]",
    ] {
        let found = faults("a.rs", source);
        assert!(found.iter().any(|fault| fault.ends_with(": B9 is not defined")), "{source}: {found:?}");
    }
    assert_eq!(faults("a.rs", "fn f() {}\n\n// B9."), ["a.rs:3: B9 is not defined"]);
    assert_eq!(faults("a.txt", "# B1 B9"), ["a.txt:1: B9 is not defined"]);
    assert_eq!(faults("b1_b9_a.txt", ""), ["b1_b9_a.txt: B9 is not defined"]);
    assert_eq!(faults("a.md", "B2.2"), ["a.md:1: B2.2 is not defined"]);
}

#[test]
fn a_range_cites_everything_between_its_ends() {
    for text in ["B1 to B4", "B1–B4", "B1–4", "B1-4", "B1 – B4"] {
        assert_eq!(faults("a.md", text), ["a.md:1: B3 is not defined", "a.md:1: B4 is not defined"], "{text}");
    }
    assert_eq!(faults("a.md", "B1 to 9, B2 - 9"), [""; 0]);
}

#[test]
fn code_and_what_only_looks_like_an_id_are_no_citations() {
    for source in [
        "struct B9; let b9 = B9 { B8: 0xB7 };",
        "fn f<B9>(a: B9) {}",
        "let u = \"https://a\"; B9",
        "'B'; B9",
        "let a: &'a B9 = b'\"'; B9",
        "r#fn + B9",
        "// 0xB9 SHA256 aB9 B9a _B9 B09 B9000 b9 X9",
        "\"02B9ff\"",
        "\"\\xB9 \\u{B9}\"",
        "fn of_b9_nothing() {}",
        "fn f64_of() {}",
        "fn b9() {}",
        "fn F5_x() {}",
        "/* B1 */ B9",
        "\"B1\\\\\"; B9",
        "r\"\\\"; B9",
    ] {
        let found = faults("a.rs", source);
        assert_eq!(found, [""; 0], "{source}");
    }
}

#[test]
fn a_section_needs_a_document() {
    for text in ["section 5", "(Section 12)", "sections 6 and 10", "§5", "§ 5"] {
        assert_eq!(faults("a.md", text), ["a.md:1: a section of no document"], "{text}");
        assert_eq!(faults("a.rs", &format!("// {text}")), ["a.rs:1: a section of no document"], "{text}");
    }
    for text in [
        "BOLT 5, section 5",
        "section 2 of BIP 125",
        "README.md, section 5",
        "a section on 5",
        "the sections",
        "subsection 5",
    ] {
        assert_eq!(faults("a.md", text), [""; 0], "{text}");
    }
    assert_eq!(faults("a.rs", "let section = 5; section 5"), [""; 0]);
    assert_eq!(faults("a.rs", "/// a section\n/// 5"), ["a.rs:1: a section of no document"], "wrapped");
}

#[test]
fn a_definition_is_alone_and_in_use() {
    let page = |page: &str| faults_with_page(page, "a.rs", "// R1 B2");
    let whole = "| B1 | a | b |\n| B2 | a | b |\n| B2.1 | a | b |";
    assert_eq!(page(whole), [""; 0]);
    assert_eq!(page(&format!("{whole}\n| B1 | c | d |")), [format!("{PAGE}:4: B1 is defined twice")]);
    assert_eq!(page(&format!("{whole}\n| R1 | c | d |")), [format!("{PAGE}:4: R1 is defined twice")]);
    assert_eq!(page(&format!("{whole}\n| B3 | c | d |")), [format!("{PAGE}:4: B3 is cited nowhere")]);
}

#[test]
fn the_page_does_not_cite_what_it_defines_and_names_a_source() {
    let page = "| B1 | as B2 | b |\n| B2 | a | |";
    let mut findings = Findings::default();
    findings.read(PAGE, page);
    findings.read("a.md", "B2");
    let expected = [format!("{PAGE}:1: B1 is cited nowhere"), format!("{PAGE}:2: B2 has no text or no source")];
    assert_eq!(findings.judge("", page), expected);
}

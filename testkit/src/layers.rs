//! Reads which module of a crate uses which, and compares that with a map of what each may use.
//!
//! Looks at paths in the source (`use crate::a::b`, `super::x`, `crate::a::f()`), outside of
//! comments, literals and code for tests. A layer is a module with all below it that is no layer of
//! its own; of two layers that fit, the deeper one counts.
#![expect(clippy::unwrap_used, reason = "a source that cannot be read fails the test")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Which layers there are, by path below `src` (`rooms`, `client/core`), each with those it may use.
pub type LayerMap<'a> = [(&'a str, &'a [&'a str])];

/// What is wrong: uses that the map does not allow, uses it allows that do not exist, circles, and
/// files outside of every layer. Empty if all is well. `src/lib.rs` belongs to no layer.
pub fn violations(src: &Path, crate_name: &str, map: &LayerMap<'_>) -> Vec<String> {
    let allowed: BTreeMap<&str, &[&str]> = map.iter().copied().collect();
    let mut found = circles(&allowed);
    let mut seen = BTreeSet::new();
    let files = sources(src);
    let of_tests: BTreeSet<PathBuf> = files
        .iter()
        .flat_map(|file| {
            let dir = module_dir(src, file);
            let (_, names) = without_tests(&code_of(&fs::read_to_string(file).unwrap()));
            names.into_iter().map(move |name| dir.join(name))
        })
        .collect();
    for file in &files {
        let module = module_dir(src, file);
        let is_for_tests = of_tests.iter().any(|tests| module.starts_with(tests));
        if is_for_tests || file == &src.join("lib.rs") {
            continue;
        }
        let module = segments(src, &module);
        let name = file.strip_prefix(src).unwrap().display().to_string();
        let Some(from) = layer_of(&allowed, &module) else {
            found.push(format!("{name} belongs to no layer"));
            continue;
        };
        let (code, _) = without_tests(&code_of(&fs::read_to_string(file).unwrap()));
        for to in uses(&code, crate_name, &module, &allowed) {
            if to != from && seen.insert((from, to)) && !allowed[from].contains(&to) {
                found.push(format!("{from} must not use {to}, but {name} does"));
            }
        }
    }
    for (from, tos) in &allowed {
        let unused = tos.iter().filter(|to| !seen.contains(&(*from, **to)));
        found.extend(unused.map(|to| format!("{from} may use {to}, but does not")));
    }
    found
}

/// Every `.rs` file below a directory.
fn sources(dir: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files.sort();
    files
}

/// The directory in which the submodules of a file's module lie: `a/mod.rs` and `a.rs` have `a`.
fn module_dir(src: &Path, file: &Path) -> PathBuf {
    if file == src.join("lib.rs") || file.file_name().is_some_and(|name| name == "mod.rs") {
        return file.parent().unwrap().to_owned();
    }
    file.with_extension("")
}

fn segments(src: &Path, module: &Path) -> Vec<String> {
    let below = module.strip_prefix(src).unwrap();
    below.components().map(|part| part.as_os_str().to_str().unwrap().to_owned()).collect()
}

fn layer_of<'a>(allowed: &BTreeMap<&'a str, &[&str]>, path: &[String]) -> Option<&'a str> {
    let prefixes = (1..=path.len()).rev().map(|n_segments| path[..n_segments].join("/"));
    prefixes
        .into_iter()
        .find_map(|prefix| allowed.get_key_value(prefix.as_str()))
        .map(|(key, _)| *key)
}

fn circles(allowed: &BTreeMap<&str, &[&str]>) -> Vec<String> {
    // Layers whose uses are all known to be free of circles are taken away until none is left.
    let mut left: BTreeMap<&str, &[&str]> = allowed.clone();
    loop {
        let before = left.len();
        let names: BTreeSet<&str> = left.keys().copied().collect();
        left.retain(|_, tos| tos.iter().any(|to| names.contains(to)));
        if left.len() == before {
            break;
        }
    }
    if left.is_empty() {
        return Vec::new();
    }
    vec![format!("a circle among {}", left.keys().copied().collect::<Vec<_>>().join(", "))]
}

/// The code without comments and with empty literals.
fn code_of(source: &str) -> String {
    let chars: Vec<char> = source.chars().collect();
    let mut code = String::with_capacity(source.len());
    let mut at = 0;
    while at < chars.len() {
        let rest = &chars[at..];
        let skipped = match rest {
            ['/', '/', ..] => rest.iter().position(|c| *c == '\n').unwrap_or(rest.len()),
            ['/', '*', ..] => block_comment_len(rest),
            ['r', '"' | '#', ..] if !ends_with_word(&code) => raw_string_len(rest),
            ['"', ..] => quoted_len(rest, '"'),
            ['\'', '\\', ..] | ['\'', _, '\'', ..] => quoted_len(rest, '\''),
            _ => 0,
        };
        if skipped == 0 {
            code.push(chars[at]);
        } else {
            code.push(' ');
        }
        at += skipped.max(1);
    }
    code
}

fn ends_with_word(code: &str) -> bool {
    code.ends_with(|c: char| c.is_alphanumeric() || c == '_')
}

fn block_comment_len(chars: &[char]) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at + 1 < chars.len() {
        match chars[at..at + 2] {
            ['/', '*'] => (depth, at) = (depth + 1, at + 2),
            ['*', '/'] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            return at;
        }
    }
    chars.len()
}

/// The length of a raw string; 0 if it is none, as in `r#type`.
fn raw_string_len(chars: &[char]) -> usize {
    let n_hashes = chars[1..].iter().take_while(|c| **c == '#').count();
    if chars.get(1 + n_hashes) != Some(&'"') {
        return 0;
    }
    let body = 2 + n_hashes;
    let ends = |at: usize| {
        chars[at] == '"'
            && chars[at + 1..].iter().take(n_hashes).filter(|c| **c == '#').count() == n_hashes
    };
    let end = (body..chars.len()).find(|at| ends(*at));
    end.map_or(chars.len(), |at| at + 1 + n_hashes)
}

fn quoted_len(chars: &[char], quote: char) -> usize {
    let mut at = 1;
    while at < chars.len() && chars[at] != quote {
        at += if chars[at] == '\\' { 2 } else { 1 };
    }
    (at + 1).min(chars.len())
}

/// The code without its items for tests, and the names of modules for tests that are files.
fn without_tests(code: &str) -> (String, Vec<String>) {
    const MARK: &str = "#[cfg(test)]";
    let (mut kept, mut modules) = (String::new(), Vec::new());
    let mut rest = code;
    while let Some(start) = rest.find(MARK) {
        kept.push_str(&rest[..start]);
        let item = &rest[start + MARK.len()..];
        let len = item_len(item);
        let words: Vec<&str> = item[..len].split_whitespace().collect();
        if let [.., "mod", name] = words[..]
            && let Some(name) = name.strip_suffix(';')
        {
            modules.push(name.to_owned());
        }
        rest = &item[len..];
    }
    kept.push_str(rest);
    (kept, modules)
}

/// The length of the item at the beginning: up to its `;` or the end of its braces.
fn item_len(code: &str) -> usize {
    let mut depth = 0_u32;
    for (at, c) in code.char_indices() {
        match c {
            '{' => depth += 1,
            ';' if depth == 0 => return at + 1,
            '}' => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return at + 1;
                }
            }
            _ => {}
        }
    }
    code.len()
}

/// The layers that the code of a module names.
fn uses<'a>(
    code: &str,
    crate_name: &str,
    module: &[String],
    allowed: &BTreeMap<&'a str, &[&str]>,
) -> BTreeSet<&'a str> {
    let tokens = tokens(code);
    let mut used = BTreeSet::new();
    let mut at = 0;
    while at < tokens.len() {
        let goes_on = at > 0 && tokens[at - 1] == "::";
        if goes_on || !is_word(tokens[at]) || names_no_use(&tokens[..at]) {
            at += 1;
            continue;
        }
        let mut paths = Vec::new();
        at = read_paths(&tokens, at, &[], &mut paths);
        for path in paths {
            if let Some(target) = resolve(&path, crate_name, module)
                && let Some(layer) = layer_of(allowed, &target)
            {
                used.insert(layer);
            }
        }
    }
    used
}

/// Says whether a word behind these tokens is no use: the name of a module that is declared, or a
/// part of a visibility (`pub(super)`, `pub(in crate::a)`).
fn names_no_use(before: &[&str]) -> bool {
    matches!(before, [.., "mod"] | [.., "pub", "("] | [.., "pub", "(", "in"])
}

/// Words, `::`, and every other character by itself.
fn tokens(code: &str) -> Vec<&str> {
    let mut tokens = Vec::new();
    let mut rest = code.trim_start();
    while let Some(first) = rest.chars().next() {
        let len = if is_word(rest) {
            rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len())
        } else if rest.starts_with("::") {
            2
        } else {
            first.len_utf8()
        };
        let (token, behind) = rest.split_at(len);
        tokens.push(token);
        rest = behind.trim_start();
    }
    tokens
}

fn is_word(token: &str) -> bool {
    token.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// Reads a path, or a tree of them in braces; returns where it ends.
fn read_paths<'a>(
    tokens: &[&'a str],
    mut at: usize,
    prefix: &[&'a str],
    paths: &mut Vec<Vec<&'a str>>,
) -> usize {
    let mut path = prefix.to_vec();
    loop {
        match tokens.get(at) {
            Some(word) if is_word(word) => {
                path.push(word);
                at += 1;
            }
            Some(&"{") if !path.is_empty() => {
                at += 1;
                while at < tokens.len() && tokens[at] != "}" {
                    let end = read_paths(tokens, at, &path, paths);
                    at = end.max(at + 1);
                }
                return at + 1;
            }
            _ => break,
        }
        if tokens.get(at) != Some(&"::") {
            break;
        }
        at += 1;
    }
    // The comma between two paths in braces is no path.
    if path.len() > prefix.len() || tokens.get(at) == Some(&"*") {
        paths.push(path);
    }
    at
}

/// The full path of what is named, without the crate; `None` for other crates and local names.
fn resolve(path: &[&str], crate_name: &str, module: &[String]) -> Option<Vec<String>> {
    let (first, mut rest) = path.split_first()?;
    let mut target = match *first {
        "crate" => Vec::new(),
        name if name == crate_name => Vec::new(),
        "self" => module.to_vec(),
        "super" => module[..module.len().checked_sub(1)?].to_vec(),
        // A child of this module, if there is a layer of that name.
        _ => {
            rest = path;
            module.to_vec()
        }
    };
    while let Some(("super", behind)) = rest.split_first().map(|(first, behind)| (*first, behind)) {
        target.pop();
        rest = behind;
    }
    target.extend(rest.iter().map(|segment| (*segment).to_owned()));
    Some(target)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(files: &[(&str, &str)], map: &LayerMap<'_>) -> Vec<String> {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        violations(dir.path(), "mine", map)
    }

    #[test]
    fn a_use_that_the_map_allows_is_fine_and_any_other_is_named() {
        let files = [
            ("lib.rs", "pub mod high; pub mod low;"),
            ("high.rs", "use crate::low::thing;"),
            ("low/mod.rs", "mod inner;"),
            ("low/inner.rs", "fn climbs() { super::super::high::call() }"),
        ];
        let fine: &LayerMap<'_> = &[("high", &["low"]), ("low", &[])];
        assert_eq!(found(&files, fine), ["low must not use high, but low/inner.rs does"]);
        assert_eq!(found(&files[..3], fine), [] as [&str; 0]);
    }

    #[test]
    fn groups_lines_and_the_name_of_the_crate_are_seen_through() {
        let files = [
            ("main.rs", "use mine::a;"),
            ("a.rs", "use crate::{\n  b::{self, X},\n  c::Y,\n};"),
            ("b.rs", ""),
            ("c.rs", ""),
        ];
        let map: &LayerMap<'_> = &[("main", &["a"]), ("a", &["b", "c"]), ("b", &[]), ("c", &[])];
        assert_eq!(found(&files, map), [] as [&str; 0]);
        let map: &LayerMap<'_> = &[("main", &[]), ("a", &["b"]), ("b", &[]), ("c", &[])];
        assert_eq!(
            found(&files, map),
            ["a must not use c, but a.rs does", "main must not use a, but main.rs does"]
        );
    }

    #[test]
    fn comments_literals_and_tests_use_nothing() {
        let text = "//! See [`crate::b`].\n/* crate::b /* crate::b */ */\n\
            const S: &str = \"crate::b\"; const R: &str = r#\"crate::b \"#; const C: char = '\"';\n\
            #[cfg(test)]\nmod tests { use crate::b; fn f() {} }\n\
            #[cfg(test)]\nmod more;\nfn generic<'a>(r#type: &'a str) {}\n";
        let files = [("a.rs", text), ("a/more.rs", "use crate::b;"), ("b.rs", "")];
        assert_eq!(found(&files, &[("a", &[]), ("b", &[])]), [] as [&str; 0]);
    }

    #[test]
    fn the_deeper_layer_counts_and_children_are_found_without_a_prefix() {
        let files = [
            ("client/mod.rs", "mod core; pub use core::Thing;"),
            ("client/core/mod.rs", "use super::shell;"),
            ("client/shell.rs", ""),
        ];
        let map: &LayerMap<'_> =
            &[("client", &["client/core"]), ("client/core", &[]), ("client/shell", &[])];
        assert_eq!(
            found(&files, map),
            ["client/core must not use client/shell, but client/core/mod.rs does"]
        );
    }

    #[test]
    fn a_module_uses_what_it_names_and_not_what_stands_around_it() {
        let files =
            [("a/mod.rs", "mod b;"), ("a/b.rs", "pub(super) fn f() {} pub(in crate::a) fn g() {}")];
        assert_eq!(found(&files, &[("a", &[]), ("a/b", &[])]), [] as [&str; 0]);
    }

    #[test]
    fn a_map_with_a_circle_a_useless_line_or_a_missing_file_is_refused() {
        let files = [("a.rs", "use crate::b;"), ("b.rs", "use crate::a;"), ("c.rs", "")];
        assert_eq!(
            found(&files, &[("a", &["b"]), ("b", &["a"]), ("c", &[])]),
            ["a circle among a, b"]
        );
        assert_eq!(
            found(&files[..1], &[("a", &["b", "c"]), ("b", &[]), ("c", &[])]),
            ["a may use c, but does not"]
        );
        assert_eq!(found(&files[2..], &[]), ["c.rs belongs to no layer"]);
    }
}

//! Reads one mapping of the file key by key, and collects everything that is wrong with it.
//!
//! A reader names each key once, with its default and what it may hold; whatever the file holds beside the keys that
//! were asked for is either a part that is not built yet ([`super::unbuilt`]) or unknown. All problems of a file are
//! reported together, so a reader goes on after a refusal with the default.

use super::document::{Entry, Node, Value};
use super::unbuilt;
use paceline_pure::units::Level;
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

/// One thing that is wrong in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Problem {
    /// Where the key stands, as `a.b[0].c`.
    pub(super) path: String,
    /// Line of the file, none where the key isn't in it.
    pub(super) line: Option<u64>,
    /// Found, expected, what to do.
    pub(super) sentence: String,
}

/// A mapping of the file (or its absence, which is an empty one) while it is read.
pub(super) struct Section<'a> {
    problems: &'a RefCell<Vec<Problem>>,
    path: String,
    line: Option<u64>,
    entries: &'a [Entry],
    known: BTreeSet<&'static str>,
}

/// Seconds in the longest duration that is accepted: ten years.
const LONGEST_SECONDS: i128 = 10 * 366 * 86_400;

impl<'a> Section<'a> {
    /// Reads the whole file.
    pub(super) fn root<T>(node: &'a Node, problems: &'a RefCell<Vec<Problem>>, read: impl FnOnce(&mut Self) -> T) -> T {
        Self::open(problems, String::new(), Some(node), read)
    }

    fn open<T>(
        problems: &'a RefCell<Vec<Problem>>,
        path: String,
        node: Option<&'a Node>,
        read: impl FnOnce(&mut Self) -> T,
    ) -> T {
        let mut section = Self { problems, path, line: node.map(|n| n.line), entries: &[], known: BTreeSet::new() };
        match node.map(|n| &n.value) {
            Some(Value::Map(entries)) => section.entries = entries,
            None | Some(Value::Null) => {}
            Some(_) => {
                let found = node.map(shown).unwrap_or_default();
                section.report(section.path.clone(), section.line, &found, "keys with values", "indent them below it");
            }
        }
        let value = read(&mut section);
        section.close();
        value
    }

    fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    /// The value of `key`, none where it is absent or `null`. The key counts as known from now on.
    pub(super) fn take(&mut self, key: &'static str) -> Option<&'a Node> {
        self.known.insert(key);
        self.entry(key).map(|entry| &entry.node).filter(|node| node.value != Value::Null)
    }

    fn entry(&self, key: &str) -> Option<&'a Entry> {
        self.entries.iter().find(|entry| entry.key == key)
    }

    fn report(&self, path: String, line: Option<u64>, found: &str, expected: &str, advice: &str) {
        let sentence = format!("found {found}, expected {expected}; {advice}");
        self.problems.borrow_mut().push(Problem { path, line, sentence });
    }

    /// Refuses what stands at `key`.
    pub(super) fn refuse(&self, key: &str, found: impl fmt::Display, expected: &str, advice: &str) {
        let line = self.entry(key).map(|entry| entry.line).or(self.line);
        self.report(self.path_of(key), line, &found.to_string(), expected, advice);
    }

    /// Refuses the mapping as a whole.
    pub(super) fn refuse_whole(&self, found: &str, expected: &str, advice: &str) {
        self.report(self.path.clone(), self.line, found, expected, advice);
    }

    fn refuse_node(&self, key: &str, node: &Node, expected: &str, advice: &str) {
        self.report(self.path_of(key), Some(node.line), &shown(node), expected, advice);
    }

    /// Reads the mapping at `key`; an absent one reads as empty.
    pub(super) fn section<T>(&mut self, key: &'static str, read: impl FnOnce(&mut Section<'a>) -> T) -> T {
        let node = self.take(key);
        Section::open(self.problems, self.path_of(key), node, read)
    }

    /// Reads each mapping in the list at `key`.
    pub(super) fn sections<T>(&mut self, key: &'static str, mut read: impl FnMut(&mut Section<'a>) -> T) -> Vec<T> {
        let items = self.list(key).unwrap_or_default();
        let open =
            |(idx, node)| Section::open(self.problems, format!("{}[{idx}]", self.path_of(key)), Some(node), &mut read);
        items.iter().enumerate().map(open).collect()
    }

    /// Reads the mapping at `key` whose keys the user chooses, each with a mapping of its own. `read` is told the key.
    pub(super) fn named<T>(
        &mut self,
        key: &'static str,
        mut read: impl FnMut(&str, &mut Section<'a>) -> T,
    ) -> Vec<(String, T)> {
        let path = self.path_of(key);
        let entries = self.entries_of(key);
        let open = |entry: &'a Entry| {
            let path = format!("{path}.{}", entry.key);
            let read = |section: &mut Section<'a>| read(&entry.key, section);
            (entry.key.clone(), Section::open(self.problems, path, Some(&entry.node), read))
        };
        entries.iter().map(open).collect()
    }

    /// The pairs of the mapping at `key` whose keys the user chooses; each key at most once.
    pub(super) fn entries_of(&mut self, key: &'static str) -> &'a [Entry] {
        let Some(node) = self.take(key) else { return &[] };
        let Value::Map(entries) = &node.value else {
            self.refuse_node(key, node, "keys with values", "indent them below it");
            return &[];
        };
        for (idx, entry) in entries.iter().enumerate() {
            if entries.iter().take(idx).any(|before| before.key == entry.key) {
                self.refuse(key, format!("{:?} twice", entry.key), "each key once", "remove one of them");
            }
        }
        entries
    }

    /// The items of the list at `key`, none where the key is absent.
    pub(super) fn list(&mut self, key: &'static str) -> Option<&'a [Node]> {
        let node = self.take(key)?;
        if let Value::List(items) = &node.value {
            return Some(items);
        }
        self.refuse_node(key, node, "a list", "write it in brackets: [a, b]");
        None
    }

    /// Reads a list of distinct, parsed items; `default` where the key is absent.
    pub(super) fn items<T: Clone + PartialEq>(
        &mut self,
        key: &'static str,
        default: &[T],
        expected: &str,
        parse: impl Fn(&Node) -> Result<T, String>,
    ) -> Vec<T> {
        let Some(nodes) = self.list(key) else { return default.to_vec() };
        let mut items: Vec<T> = Vec::with_capacity(nodes.len());
        for node in nodes {
            match parse(node) {
                Ok(item) if items.contains(&item) => {
                    self.refuse_node(key, node, "each item once", "remove the second one");
                }
                Ok(item) => items.push(item),
                Err(advice) => self.refuse_node(key, node, expected, &advice),
            }
        }
        if nodes.is_empty() {
            self.refuse(key, "an empty list", expected, "name at least one, or remove the key to get its default");
        }
        items
    }

    /// `true` or `false`.
    pub(super) fn flag(&mut self, key: &'static str, default: bool) -> bool {
        match self.take(key) {
            None => default,
            Some(Node { value: Value::Flag(flag), .. }) => *flag,
            Some(node) => {
                self.refuse_node(key, node, "true or false", "write one of the two, without quotes");
                default
            }
        }
    }

    /// A whole number in `range`.
    pub(super) fn whole<T>(&mut self, key: &'static str, default: T, range: RangeInclusive<i128>) -> T
    where
        T: TryFrom<i128>,
    {
        let Some(node) = self.take(key) else { return default };
        if let Value::Whole(number) = node.value
            && range.contains(&number)
            && let Ok(value) = T::try_from(number)
        {
            return value;
        }
        let expected = format!("a whole number from {} to {}", range.start(), range.end());
        self.refuse_node(key, node, &expected, "write such a number, without a unit");
        default
    }

    /// A count of days, at least one.
    pub(super) fn days(&mut self, key: &'static str, default: u32) -> u32 {
        self.whole(key, default, 1..=36_500)
    }

    /// A duration written as a positive whole number of seconds.
    pub(super) fn seconds(&mut self, key: &'static str, default: u64) -> Duration {
        Duration::from_secs(self.whole(key, default, 1..=LONGEST_SECONDS))
    }

    /// A number that `accepts` takes; `expected` says which those are.
    pub(super) fn number(
        &mut self,
        key: &'static str,
        default: f64,
        expected: &str,
        accepts: impl Fn(f64) -> bool,
    ) -> f64 {
        let Some(node) = self.take(key) else { return default };
        match as_number(node) {
            Some(number) if accepts(number) => number,
            Some(number) if number > 1.0 && number <= 100.0 && accepts(number / 100.0) => {
                self.refuse_node(key, node, expected, &format!("write {} for {number} %", number / 100.0));
                default
            }
            _ => {
                self.refuse_node(key, node, expected, "write such a number");
                default
            }
        }
    }

    /// A positive number.
    pub(super) fn positive(&mut self, key: &'static str, default: f64) -> f64 {
        self.number(key, default, "a number above 0", |number| number > 0.0 && number.is_finite())
    }

    /// A share from 0 to 1, both included.
    pub(super) fn ratio(&mut self, key: &'static str, default: f64) -> f64 {
        self.number(key, default, "a ratio from 0 to 1", |number| (0.0..=1.0).contains(&number))
    }

    /// A coverage probability strictly between 0 and 1.
    pub(super) fn level(&mut self, key: &'static str, default: f64) -> Level {
        let expected = "a level strictly between 0 and 1";
        let number = self.number(key, default, expected, |number| Level::new(number).is_ok());
        Level::new(number).unwrap_or(Level::DEFAULT)
    }

    /// A text that is not empty, none where the key is absent.
    pub(super) fn text(&mut self, key: &'static str) -> Option<String> {
        let node = self.take(key)?;
        match &node.value {
            Value::Text(text) if !text.trim().is_empty() => Some(text.clone()),
            Value::Flag(_) | Value::Whole(_) | Value::Number(_) => {
                self.refuse_node(key, node, "a text", "write it in quotes");
                None
            }
            _ => {
                self.refuse_node(key, node, "a text that is not empty", "write it, or remove the key");
                None
            }
        }
    }

    /// A text that must be there.
    pub(super) fn required_text(&mut self, key: &'static str, meaning: &str) -> String {
        if self.take(key).is_none() {
            self.refuse(key, "nothing", meaning, "write it");
        }
        self.text(key).unwrap_or_default()
    }

    /// A text that `parse` understands; its error says what to do.
    pub(super) fn parsed<T>(
        &mut self,
        key: &'static str,
        default: T,
        expected: &str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> T {
        let Some(node) = self.take(key) else { return default };
        // Numbers are as good as texts here: a size may be a bare number.
        let text = match &node.value {
            Value::Text(_) | Value::Whole(_) | Value::Number(_) => node.to_string(),
            _ => String::new(),
        };
        match parse(&text) {
            Ok(value) => value,
            Err(advice) => {
                self.refuse_node(key, node, expected, &advice);
                default
            }
        }
    }

    /// One of some words, each with its meaning.
    pub(super) fn choice<T: Copy>(&mut self, key: &'static str, default: T, words: &[(&str, T)]) -> T {
        let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        self.parsed(key, default, &format!("one of {}", known.join(", ")), |text| {
            let found = words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
            found.ok_or_else(|| nearest_or(text, known.iter().copied(), "write one of these"))
        })
    }

    /// What is left is not built yet, unknown, or there twice.
    fn close(&self) {
        for (idx, entry) in self.entries.iter().enumerate() {
            if let Some(first) = self.entries.iter().take(idx).find(|before| before.key == entry.key) {
                let found = format!("it a second time (first on line {})", first.line);
                self.report(self.path_of(&entry.key), Some(entry.line), &found, "each key once", "remove one of them");
            } else if !self.known.contains(entry.key.as_str()) {
                self.close_entry(entry);
            }
        }
    }

    fn close_entry(&self, entry: &'a Entry) {
        let path = self.path_of(&entry.key);
        match unbuilt::find(&path) {
            unbuilt::Found::Key(row) if row.accepts(&entry.node) => {}
            unbuilt::Found::Key(row) => {
                let expected = format!("its default ({})", row.default());
                let advice =
                    format!("{} is not built yet in this version: leave it at its default or remove it", row.part);
                self.report(path, Some(entry.line), &shown(&entry.node), &expected, &advice);
            }
            unbuilt::Found::Section => Section::open(self.problems, path, Some(&entry.node), |_nothing_acts| ()),
            unbuilt::Found::Nothing => {
                let place = if self.path.is_empty() { "the file" } else { &self.path };
                let known = self.known.iter().copied().chain(unbuilt::keys_below(&self.path));
                let advice = nearest_or(&entry.key, known, "remove it");
                self.report(path, Some(entry.line), "an unknown key", &format!("a key of {place}"), &advice);
            }
        }
    }
}

pub(super) fn as_number(node: &Node) -> Option<f64> {
    match node.value {
        // Rounding above 2⁵³ does no harm in any setting that is a number.
        #[expect(clippy::cast_precision_loss, reason = "settings are far below 2⁵³")]
        Value::Whole(number) => Some(number as f64),
        Value::Number(number) => Some(number),
        _ => None,
    }
}

fn shown(node: &Node) -> String {
    match &node.value {
        Value::Text(text) => format!("{text:?}"),
        // Whole parts of a file may hold what nobody should read in a log.
        Value::List(items) => format!("a list of {}", items.len()),
        Value::Map(entries) => format!("a mapping with {} keys", entries.len()),
        _ => node.to_string(),
    }
}

/// `did you mean …?` when one of `known` is close to `word`, else `otherwise`.
pub(super) fn nearest_or<'w>(word: &str, known: impl IntoIterator<Item = &'w str>, otherwise: &str) -> String {
    let near = known.into_iter().map(|other| (distance(word, other), other)).min();
    // A third of the letters may differ: closer than that, most suggestions are right.
    match near {
        Some((edits, other)) if edits * 3 <= word.chars().count().max(3) => format!("did you mean {other}?"),
        _ => otherwise.to_owned(),
    }
}

/// Levenshtein distance in characters.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (idx, from) in a.chars().enumerate() {
        let mut next = Vec::with_capacity(row.len());
        next.push(idx + 1);
        for ((to, above), diagonal) in b.iter().zip(row.iter().skip(1)).zip(&row) {
            let left = next.last().copied().unwrap_or_default();
            next.push((diagonal + usize::from(from != *to)).min(above + 1).min(left + 1));
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distance_counts_edits() {
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("same", "same"), 0);
    }

    #[test]
    fn a_suggestion_must_be_close() {
        assert_eq!(nearest_or("tiemzone", ["timezone", "seed"], "remove it"), "did you mean timezone?");
        assert_eq!(nearest_or("colour", ["timezone", "seed"], "remove it"), "remove it");
    }
}

//! A unified diff of lines that is, line for line, the one of Python's `difflib` and its Go port, so that texts compare
//! equal: longest matching blocks first, and lines that occur often are not looked for in long texts.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::ops::Range;

/// Equal lines around a change.
const CONTEXT: usize = 3;
/// Texts of this many lines have popular lines.
const LONG: usize = 200;

/// The diff without file names; empty when the texts are equal.
pub(super) fn diff(before: &str, after: &str) -> String {
    let (a, b): (Vec<&str>, Vec<&str>) = (before.split('\n').collect(), after.split('\n').collect());
    let mut out = String::new();
    for group in groups(&Matcher::new(&a, &b).changes()) {
        let (Some(first), Some(last)) = (group.first(), group.last()) else { continue };
        let (left, right) = (first.a.start..last.a.end, first.b.start..last.b.end);
        let _ = writeln!(out, "@@ -{} +{} @@", numbers(&left), numbers(&right));
        for change in &group {
            let mut add = |sign: char, lines: Option<&[&str]>| {
                for line in lines.into_iter().flatten() {
                    out.push(sign);
                    out.push_str(line);
                    out.push('\n');
                }
            };
            if change.equal {
                add(' ', a.get(change.a.clone()));
            } else {
                add('-', a.get(change.a.clone()));
                add('+', b.get(change.b.clone()));
            }
        }
    }
    out
}

/// `START,COUNT`, from 1; a count of one is not said, and an empty range begins after the line before it.
fn numbers(range: &Range<usize>) -> String {
    match range.len() {
        1 => (range.start + 1).to_string(),
        0 => format!("{},0", range.start),
        count => format!("{},{count}", range.start + 1),
    }
}

/// A stretch of lines on both sides.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Change {
    equal: bool,
    a: Range<usize>,
    b: Range<usize>,
}

/// Changes that are near to each other, with the lines around them.
fn groups(changes: &[Change]) -> Vec<Vec<Change>> {
    if changes.iter().all(|change| change.equal) {
        return Vec::new();
    }
    let mut groups = Vec::new();
    let mut group: Vec<Change> = Vec::new();
    for (index, change) in changes.iter().enumerate() {
        if !change.equal {
            group.push(change.clone());
            continue;
        }
        let head = |count: usize| Change {
            equal: true,
            a: change.a.start..change.a.end.min(change.a.start + count),
            b: change.b.start..change.b.end.min(change.b.start + count),
        };
        let tail = |count: usize| Change {
            equal: true,
            a: change.a.start.max(change.a.end.saturating_sub(count))..change.a.end,
            b: change.b.start.max(change.b.end.saturating_sub(count))..change.b.end,
        };
        let (first, last) = (index == 0, index + 1 == changes.len());
        if first {
            group.push(tail(CONTEXT));
        } else if last {
            group.push(head(CONTEXT));
        } else if change.a.len() > 2 * CONTEXT {
            group.push(head(CONTEXT));
            groups.push(std::mem::take(&mut group));
            group.push(tail(CONTEXT));
        } else {
            group.push(change.clone());
        }
    }
    groups.push(group);
    groups
}

struct Matcher<'a> {
    a: &'a [&'a str],
    b: &'a [&'a str],
    /// Where each line of `b` is, popular ones left out.
    places: BTreeMap<&'a str, Vec<usize>>,
}

impl<'a> Matcher<'a> {
    fn new(a: &'a [&'a str], b: &'a [&'a str]) -> Self {
        let mut places: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (index, line) in b.iter().enumerate() {
            places.entry(line).or_default().push(index);
        }
        if b.len() >= LONG {
            let most = b.len() / 100 + 1;
            places.retain(|_, at| at.len() <= most);
        }
        Self { a, b, places }
    }

    fn same(&self, i: usize, j: usize) -> bool {
        matches!((self.a.get(i), self.b.get(j)), (Some(x), Some(y)) if x == y)
    }

    /// The longest block that both ranges have; of equally long ones the first in `a`, then in `b`.
    fn longest(&self, a: &Range<usize>, b: &Range<usize>) -> (usize, usize, usize) {
        let (mut at_a, mut at_b, mut size) = (a.start, b.start, 0);
        let mut lengths: BTreeMap<usize, usize> = BTreeMap::new();
        for i in a.clone() {
            let mut next = BTreeMap::new();
            let places = self.a.get(i).and_then(|line| self.places.get(line));
            for &j in places.into_iter().flatten().filter(|j| b.contains(j)) {
                let length = j.checked_sub(1).and_then(|before| lengths.get(&before)).copied().unwrap_or(0) + 1;
                next.insert(j, length);
                if length > size {
                    (at_a, at_b, size) = (i + 1 - length, j + 1 - length, length);
                }
            }
            lengths = next;
        }
        while at_a > a.start && at_b > b.start && self.same(at_a - 1, at_b - 1) {
            (at_a, at_b, size) = (at_a - 1, at_b - 1, size + 1);
        }
        while at_a + size < a.end && at_b + size < b.end && self.same(at_a + size, at_b + size) {
            size += 1;
        }
        (at_a, at_b, size)
    }

    fn blocks(&self) -> Vec<(usize, usize, usize)> {
        let mut found = Vec::new();
        let mut open = vec![(0..self.a.len(), 0..self.b.len())];
        while let Some((a, b)) = open.pop() {
            let (i, j, size) = self.longest(&a, &b);
            if size > 0 {
                found.push((i, j, size));
                open.push((a.start..i, b.start..j));
                open.push((i + size..a.end, j + size..b.end));
            }
        }
        found.sort_unstable();
        found
    }

    fn changes(&self) -> Vec<Change> {
        let mut changes: Vec<Change> = Vec::new();
        let (mut i, mut j) = (0, 0);
        let end = (self.a.len(), self.b.len(), 0);
        for (at_a, at_b, size) in self.blocks().into_iter().chain([end]) {
            if i < at_a || j < at_b {
                changes.push(Change { equal: false, a: i..at_a, b: j..at_b });
            }
            (i, j) = (at_a + size, at_b + size);
            let same = Change { equal: true, a: at_a..i, b: at_b..j };
            match changes.last_mut() {
                Some(last) if last.equal && size > 0 => (last.a.end, last.b.end) = (i, j),
                _ if size > 0 => changes.push(same),
                _ => {}
            }
        }
        changes
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("a\nb", "a\nb", "")]
    #[case("a\nb\nc", "a\nx\nc", "@@ -1,3 +1,3 @@\n a\n-b\n+x\n c\n")]
    #[case("1\n2\n3\n4\n5\n6\n7\n8\n9", "1\n2\n3\n4\n5\n6\n7\n8\nx", "@@ -6,4 +6,4 @@\n 6\n 7\n 8\n-9\n+x\n")]
    #[case("a\nb\na", "a\nc\nb\na", "@@ -1,3 +1,4 @@\n a\n+c\n b\n a\n")]
    #[case("x", "x\ny", "@@ -1 +1,2 @@\n x\n+y\n")]
    #[case(
        "0\n1\n2\n3\n4\n5\n6\n7\n8\n9",
        "A\n1\n2\n3\n4\n5\n6\n7\n8\nB",
        "@@ -1,4 +1,4 @@\n-0\n+A\n 1\n 2\n 3\n@@ -7,4 +7,4 @@\n 6\n 7\n 8\n-9\n+B\n"
    )]
    fn texts(#[case] before: &str, #[case] after: &str, #[case] expected: &str) {
        assert_eq!(diff(before, after), expected);
    }
}

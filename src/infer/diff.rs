//! Shows changes of a text as a unified diff.

use std::fmt::Write as _;
use std::ops::Range;

use super::edit::apply;

/// Lines that are shown around a change.
const AROUND: usize = 2;

enum Line<'a> {
    Kept(&'a str),
    Gone(&'a str),
    New(String),
}

/// The changes, which come in the order of their places, as a diff that `patch` takes.
pub(super) fn unified(file: &str, text: &str, made: &[(Range<usize>, String)]) -> String {
    let lines = lines(text, made);
    let mut shown = format!("--- {file}\n+++ {file}\n");
    let changed: Vec<usize> = (0..lines.len())
        .filter(|at| !matches!(lines[*at], Line::Kept(_)))
        .collect();
    let mut at = 0;
    while at < changed.len() {
        let mut last = at;
        while last + 1 < changed.len() && changed[last + 1] <= changed[last] + 2 * AROUND + 1 {
            last += 1;
        }
        let hunk = changed[at].saturating_sub(AROUND)..(changed[last] + AROUND + 1).min(lines.len());
        let count = |range: Range<usize>, old: bool| {
            let of = |line: &Line<'_>| match line {
                Line::Kept(_) => true,
                Line::Gone(_) => old,
                Line::New(_) => !old,
            };
            lines[range].iter().filter(|line| of(line)).count()
        };
        let _ = writeln!(
            shown,
            "@@ -{},{} +{},{} @@",
            count(0..hunk.start, true) + 1,
            count(hunk.clone(), true),
            count(0..hunk.start, false) + 1,
            count(hunk.clone(), false)
        );
        for line in &lines[hunk] {
            let _ = match line {
                Line::Kept(line) => writeln!(shown, " {line}"),
                Line::Gone(line) => writeln!(shown, "-{line}"),
                Line::New(line) => writeln!(shown, "+{line}"),
            };
        }
        at = last + 1;
    }
    shown
}

fn lines<'a>(text: &'a str, made: &[(Range<usize>, String)]) -> Vec<Line<'a>> {
    let (mut found, mut at, mut next) = (Vec::new(), 0, 0);
    while at < text.len() || next < made.len() {
        let end = |at: usize| text[at..].find('\n').map_or(text.len(), |length| at + length);
        let Some((range, new)) = made.get(next).filter(|(range, _)| range.start <= end(at)) else {
            found.push(Line::Kept(&text[at..end(at)]));
            at = (end(at) + 1).min(text.len());
            continue;
        };
        // Whole lines that are put before this one.
        if range.start == at && range.is_empty() && new.ends_with('\n') {
            found.extend(new.lines().map(|line| Line::New(line.to_owned())));
            next += 1;
            continue;
        }
        let (mut stop, mut last) = (end(range.end.max(at)), next + 1);
        while let Some((range, _)) = made.get(last).filter(|(range, _)| range.start <= stop) {
            stop = stop.max(end(range.end));
            last += 1;
        }
        let within: Vec<_> = made[next..last]
            .iter()
            .map(|(range, new)| (range.start - at..range.end - at, new.clone()))
            .collect();
        let (old, new) = (&text[at..stop], apply(&text[at..stop], &within));
        let (before, after): (Vec<&str>, Vec<&str>) = (old.lines().collect(), new.lines().collect());
        // An edit may only add lines after its first.
        let same = before.iter().zip(&after).take_while(|(a, b)| a == b).count();
        found.extend(before[..same].iter().map(|line| Line::Kept(line)));
        found.extend(before[same..].iter().map(|line| Line::Gone(line)));
        found.extend(after[same..].iter().map(|line| Line::New((*line).to_owned())));
        at = (stop + 1).min(text.len());
        next = last;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_change_are_shown_with_those_around_them() {
        let text = "a\nb\nc\nd\ne\nf\ng\nh\ni\nj\n";
        let made = vec![
            (2..3, "B".to_owned()),
            (6..6, "new\n".to_owned()),
            (19..19, "\nlast".to_owned()),
        ];
        assert_eq!(
            unified("x", text, &made),
            "--- x\n+++ x\n@@ -1,5 +1,6 @@\n a\n-b\n+B\n c\n+new\n d\n e\n@@ -9,2 +10,3 @@\n i\n j\n+last\n"
        );
        assert_eq!(apply(text, &made), "a\nB\nc\nnew\nd\ne\nf\ng\nh\ni\nj\nlast\n");
    }
}

//! Owns the comparison of two texts line by line, as people know it from `diff -u`. Knows no documents but that a line with `[` heads a table.
//! Always holds: what it gives is bounded ([`LINES_MAX`]), and so is the work ([`EDITS_MAX`]); within the bounds nothing that differs is left out.

/// What one line is in the step from a first text to a second one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Edit {
    /// In both.
    Keep,
    /// Only in the first.
    Remove,
    /// Only in the second.
    Add,
}

/// The lines that differ with three lines around them. Empty if nothing differs.
pub fn difference(first: &str, second: &str) -> Vec<String> {
    let (a, b): (Vec<&str>, Vec<&str>) = (first.lines().collect(), second.lines().collect());
    let mut shown = hunks(&a, &b, &edits(&a, &b));
    if shown.len() > LINES_MAX {
        let more = shown.len() - LINES_MAX;
        shown.truncate(LINES_MAX);
        shown.push(format!("... and {more} lines more"));
    }
    shown
}

/// The steps from `a` to `b`: the fewest there are, or, where that takes too long, all of the one out and all of the other in.
fn edits(a: &[&str], b: &[&str]) -> Vec<Edit> {
    let head = a.iter().zip(b).take_while(|(a, b)| a == b).count();
    let (rest_a, rest_b) = (&a[head..], &b[head..]);
    let tail = rest_a.iter().rev().zip(rest_b.iter().rev()).take_while(|(a, b)| a == b).count();
    let (middle_a, middle_b) = (&rest_a[..rest_a.len() - tail], &rest_b[..rest_b.len() - tail]);
    let mut edits = vec![Edit::Keep; head];
    match fewest(middle_a, middle_b) {
        Some(found) => edits.extend(found),
        None => {
            edits.extend(middle_a.iter().map(|_| Edit::Remove));
            edits.extend(middle_b.iter().map(|_| Edit::Add));
        }
    }
    edits.extend((0..tail).map(|_| Edit::Keep));
    edits
}

/// Myers, An O(ND) Difference Algorithm: for each number of edits the furthest that each diagonal (lines of `a` minus lines of `b`)
/// can be reached with.
fn fewest(a: &[&str], b: &[&str]) -> Option<Vec<Edit>> {
    let most = (a.len() + b.len()).min(EDITS_MAX);
    let mut trace: Vec<Vec<usize>> = Vec::new();
    // Diagonals -most-1 ..= most+1; each holds how many lines of `a` are behind it.
    let (middle, mut furthest) = (most + 1, vec![0usize; 2 * most + 3]);
    for count in 0..=most {
        for diagonal in (0..=count).map(|n| middle + 2 * n - count) {
            let down = diagonal == middle - count
                || (diagonal != middle + count && furthest[diagonal - 1] < furthest[diagonal + 1]);
            let mut x = if down { furthest[diagonal + 1] } else { furthest[diagonal - 1] + 1 };
            // Behind the end of `b` there is nothing; such a diagonal is never the way.
            let Some(mut y) = (x + middle).checked_sub(diagonal) else { continue };
            while x < a.len() && y < b.len() && a[x] == b[y] {
                (x, y) = (x + 1, y + 1);
            }
            furthest[diagonal] = x;
            if x >= a.len() && y >= b.len() {
                return Some(way_back(&trace, a.len(), b.len(), middle));
            }
        }
        trace.push(furthest.clone());
    }
    None
}

/// From the end to the beginning along what was furthest at each count.
fn way_back(trace: &[Vec<usize>], mut x: usize, mut y: usize, middle: usize) -> Vec<Edit> {
    let mut edits = Vec::with_capacity(x + y);
    for (count, furthest) in trace.iter().enumerate().rev() {
        let diagonal = middle + x - y;
        let edges = count + 1;
        let down = diagonal == middle - edges
            || (diagonal != middle + edges && furthest[diagonal - 1] < furthest[diagonal + 1]);
        let from_x = if down { furthest[diagonal + 1] } else { furthest[diagonal - 1] };
        let from_y = from_x + middle - if down { diagonal + 1 } else { diagonal - 1 };
        let after = if down { (from_x, from_y + 1) } else { (from_x + 1, from_y) };
        edits.extend(std::iter::repeat_n(Edit::Keep, x - after.0));
        edits.push(if down { Edit::Add } else { Edit::Remove });
        (x, y) = (from_x, from_y);
    }
    edits.extend(std::iter::repeat_n(Edit::Keep, x));
    edits.reverse();
    edits
}

/// Groups of edits with what is around them, each under a line that says where it is: `@@ -12,7 +12,8 @@ [[user]]`.
fn hunks(a: &[&str], b: &[&str], edits: &[Edit]) -> Vec<String> {
    let changes: Vec<usize> = (0..edits.len()).filter(|at| edits[*at] != Edit::Keep).collect();
    let mut shown = Vec::new();
    let mut rest = &changes[..];
    while let [first, ..] = rest {
        let near = rest.windows(2).take_while(|pair| pair[1] - pair[0] <= 2 * CONTEXT + 1).count() + 1;
        let last = rest[near - 1];
        let range = first.saturating_sub(CONTEXT)..(last + CONTEXT + 1).min(edits.len());
        let behind = |range: &[Edit], but: Edit| range.iter().filter(|edit| **edit != but).count();
        let (mut x, mut y) = (behind(&edits[..range.start], Edit::Add), behind(&edits[..range.start], Edit::Remove));
        let (of_a, of_b) = (behind(&edits[range.clone()], Edit::Add), behind(&edits[range.clone()], Edit::Remove));
        let table =
            a[..x].iter().rev().find(|line| line.starts_with('[')).map_or(String::new(), |line| format!(" {line}"));
        shown.push(format!("@@ -{},{of_a} +{},{of_b} @@{table}", x + 1, y + 1));
        for edit in &edits[range] {
            match edit {
                Edit::Keep => shown.push(format!(" {}", a[x])),
                Edit::Remove => shown.push(format!("-{}", a[x])),
                Edit::Add => shown.push(format!("+{}", b[y])),
            }
            x += usize::from(*edit != Edit::Add);
            y += usize::from(*edit != Edit::Remove);
        }
        rest = &rest[near..];
    }
    shown
}

/// Lines that are shown of one comparison.
pub const LINES_MAX: usize = 2_000;
/// Edits up to which the fewest are looked for; the work and the memory grow with its square.
const EDITS_MAX: usize = 1_000;
/// Lines around a change.
const CONTEXT: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;
    use world::World;

    /// What the edits make of `a`.
    fn applied<'t>(a: &[&'t str], b: &[&'t str], edits: &[Edit]) -> Vec<&'t str> {
        let (mut x, mut y, mut out) = (0, 0, Vec::new());
        for edit in edits {
            match edit {
                Edit::Keep => out.push(a[x]),
                Edit::Add => out.push(b[y]),
                Edit::Remove => {}
            }
            x += usize::from(*edit != Edit::Add);
            y += usize::from(*edit != Edit::Remove);
        }
        assert_eq!((x, y), (a.len(), b.len()), "each line is used once");
        out
    }

    /// The fewest edits by the slow table.
    fn fewest_edits(a: &[&str], b: &[&str]) -> usize {
        let mut row: Vec<usize> = (0..=b.len()).collect();
        for (i, left) in a.iter().enumerate() {
            let mut next = vec![i + 1];
            for (j, right) in b.iter().enumerate() {
                next.push(if left == right { row[j] } else { 1 + row[j + 1].min(next[j]) });
            }
            row = next;
        }
        row[b.len()]
    }

    #[test]
    fn it_makes_the_second_text_of_the_first_with_the_fewest_edits() {
        let (world, _) = World::simulated(7);
        let text = || -> Vec<&str> {
            let length = world.chance.below(12) as usize;
            (0..length).map(|_| ["a", "b", "c"][world.chance.below(3) as usize]).collect()
        };
        for _ in 0..2_000 {
            let (a, b) = (text(), text());
            let edits = edits(&a, &b);
            assert_eq!(applied(&a, &b, &edits), b, "{a:?} {b:?}");
            let changes = edits.iter().filter(|edit| **edit != Edit::Keep).count();
            assert_eq!(changes, fewest_edits(&a, &b), "{a:?} {b:?}");
        }
    }

    #[test]
    fn it_shows_where_and_what() {
        let a = "postmaster = \"x\"\n\n[[send_connector]]\nname = \"out\"\nmx = true\ncost = 10\ntls = \"offer\"\nport = 25\n\n[retry]\nglitch_count = 3\n";
        let b = a.replace("cost = 10", "cost = 20");
        assert_eq!(
            difference(a, &b),
            [
                "@@ -3,7 +3,7 @@",
                " [[send_connector]]",
                " name = \"out\"",
                " mx = true",
                "-cost = 10",
                "+cost = 20",
                " tls = \"offer\"",
                " port = 25",
                " "
            ]
        );
        let c = a.replace("port = 25\n", "");
        assert_eq!(difference(a, &c)[0], "@@ -5,7 +5,6 @@ [[send_connector]]");
        assert_eq!(difference(a, a), Vec::<String>::new());
        assert_eq!(difference("", "a\n"), ["@@ -1,0 +1,1 @@", "+a"]);
        let both = a.replace("postmaster", "master").replace("glitch_count", "count");
        assert_eq!(difference(a, &both).iter().filter(|line| line.starts_with("@@")).count(), 2, "two places");
    }

    #[test]
    fn its_work_and_its_answer_are_bounded() {
        let lines = |word: &str| (0..20_000).map(|n| format!("{word}{n}\n")).collect::<String>();
        let shown = difference(&format!("same\n{}", lines("a")), &format!("same\n{}", lines("b")));
        assert_eq!((shown.len(), shown[1].as_str()), (LINES_MAX + 1, " same"));
        assert_eq!(shown[LINES_MAX], format!("... and {} lines more", 40_002 - LINES_MAX));
    }
}

//! Least-cost paths between all pairs of sites: numbers in, numbers out.
//!
//! Always holds: of several paths the one with the lowest cost, then the fewest links, then the lowest names compared from the
//! destination backwards. A part of such a path is such a path, so the paths of one site are a tree.

use super::{Distance, SiteNo};
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

/// A link between two neighbours, in one direction.
#[derive(Clone, Copy, Debug)]
pub struct Edge {
    pub from: SiteNo,
    pub to: SiteNo,
    pub cost: u32,
    pub bytes_max: u64,
    /// Which link it is of.
    pub link: usize,
}

/// The end of a path.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    /// From its beginning.
    pub distance: Distance,
    /// The site before the last one; of the path of no length, itself.
    pub before: SiteNo,
    /// The smallest limit of its links.
    pub bytes_max: u64,
}

/// All paths.
#[derive(Debug)]
pub struct Paths {
    sites: usize,
    /// By beginning, then by end.
    steps: Vec<Option<Step>>,
    links: HashMap<(SiteNo, SiteNo), usize>,
    tie: Option<(SiteNo, SiteNo)>,
}

impl Paths {
    /// Computes them. `names` are those of the sites, for ties.
    pub fn new(names: &[&str], edges: &[Edge]) -> Paths {
        let mut neighbours: Vec<Vec<Edge>> = vec![Vec::new(); names.len()];
        edges.iter().for_each(|edge| neighbours[edge.from].push(*edge));
        let mut paths = Paths {
            sites: names.len(),
            steps: vec![None; names.len() * names.len()],
            links: edges.iter().map(|edge| ((edge.from, edge.to), edge.link)).collect(),
            tie: None,
        };
        for from in 0..names.len() {
            paths.tree(from, names, &neighbours);
        }
        paths
    }

    /// The end of the path from one site to another, if there is one.
    pub fn step(&self, from: SiteNo, to: SiteNo) -> Option<&Step> {
        self.steps[from * self.sites + to].as_ref()
    }

    /// The link between two neighbours.
    pub fn link(&self, from: SiteNo, to: SiteNo) -> Option<usize> {
        self.links.get(&(from, to)).copied()
    }

    /// Two sites for which names have decided.
    pub fn tie(&self) -> Option<(SiteNo, SiteNo)> {
        self.tie
    }

    /// Dijkstra's paths from one site. All costs are 1 or more, so whatever is at the same distance on the way to a site is there before
    /// that site's turn comes: its predecessor is final then.
    fn tree(&mut self, from: SiteNo, names: &[&str], neighbours: &[Vec<Edge>]) {
        let row = from * self.sites;
        let start = Distance { cost: 0, hops: 0 };
        self.steps[row + from] = Some(Step { distance: start, before: from, bytes_max: u64::MAX });
        let mut next = BinaryHeap::from([Reverse((start, from))]);
        let (mut done, mut tied) = (vec![false; self.sites], vec![false; self.sites]);
        while let Some(Reverse((distance, at))) = next.pop() {
            if std::mem::replace(&mut done[at], true) {
                continue;
            }
            if tied[at] {
                self.tie.get_or_insert((from, at));
            }
            let so_far = self.narrow(row, at, neighbours);
            for edge in &neighbours[at] {
                let there = Distance { cost: distance.cost.saturating_add(edge.cost), hops: distance.hops + 1 };
                let step = Step { distance: there, before: at, bytes_max: so_far };
                let known = &mut self.steps[row + edge.to];
                match known {
                    Some(other) if other.distance < there => {}
                    Some(other) if other.distance == there => {
                        tied[edge.to] = true;
                        if names[at] < names[other.before] {
                            *known = Some(step);
                        }
                    }
                    _ => {
                        *known = Some(step);
                        tied[edge.to] = false;
                        next.push(Reverse((there, edge.to)));
                    }
                }
            }
        }
    }

    /// A site's turn has come: adds the limit of the last link to its path, and gives the limit of the whole.
    fn narrow(&mut self, row: usize, at: SiteNo, neighbours: &[Vec<Edge>]) -> u64 {
        let Some(step) = &mut self.steps[row + at] else { return u64::MAX };
        let last = neighbours[step.before].iter().find(|edge| edge.to == at);
        step.bytes_max = step.bytes_max.min(last.map_or(u64::MAX, |edge| edge.bytes_max));
        step.bytes_max
    }
}

//! Characters that no pattern tells apart are one symbol, so that sets of characters become a few bits.

use std::collections::{BTreeSet, HashMap};

use regex_syntax::hir::ClassUnicode;

use super::TooLarge;
use crate::pattern::Node;

/// Products of character ranges and sets that are looked at.
const MOST_WORK: usize = 4 << 20;
/// Characters for witnesses, the most natural first.
const NATURAL: &str = "abcdefghijklmnopqrstuvwxyz0123456789-_.ABCDEFGHIJKLMNOPQRSTUVWXYZ/ ";

/// Number of a [`SymbolSet`] in its [`Alphabet`]; equal sets have equal numbers.
pub(super) type SetId = usize;

/// A set of symbols, a bit each.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct SymbolSet(Box<[u64]>);

impl SymbolSet {
    fn empty(symbols: usize) -> Self {
        Self(vec![0; symbols.div_ceil(64)].into())
    }

    fn insert(&mut self, symbol: usize) {
        if let Some(word) = self.0.get_mut(symbol / 64) {
            *word |= 1 << (symbol % 64);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.iter().all(|&word| word == 0)
    }

    pub(super) fn contains(&self, symbol: usize) -> bool {
        self.0
            .get(symbol / 64)
            .is_some_and(|word| word >> (symbol % 64) & 1 == 1)
    }

    pub(super) fn and(&self, other: &Self) -> Self {
        Self(self.0.iter().zip(&other.0).map(|(l, r)| l & r).collect())
    }

    fn or(&self, other: &Self) -> Self {
        Self(self.0.iter().zip(&other.0).map(|(l, r)| l | r).collect())
    }

    pub(super) fn without(&self, other: &Self) -> Self {
        Self(self.0.iter().zip(&other.0).map(|(l, r)| l & !r).collect())
    }

    /// The first symbol: symbols are numbered from the most natural one on.
    pub(super) fn first(&self) -> Option<usize> {
        let (index, word) = self.0.iter().enumerate().find(|(_, word)| **word != 0)?;
        Some(index * 64 + word.trailing_zeros() as usize)
    }
}

/// The symbols of some patterns, and the sets of them that the patterns use.
pub(crate) struct Alphabet {
    /// A character for each symbol.
    representatives: Vec<char>,
    /// Where the characters of a symbol start, sorted; a symbol may have several such places.
    starts: Vec<(u32, usize)>,
    sets: Vec<SymbolSet>,
    of_class: HashMap<Vec<(u32, u32)>, SetId>,
    numbers: HashMap<SymbolSet, SetId>,
    /// Every symbol.
    pub(super) all: SetId,
    /// `[0-9A-Za-z_]`
    pub(super) word: SetId,
    pub(super) dot: SetId,
    pub(super) slash: SetId,
}

impl Alphabet {
    /// For patterns with these trees.
    pub(crate) fn new<'n>(trees: impl IntoIterator<Item = &'n Node>) -> Result<Self, TooLarge> {
        let mut classes = BTreeSet::new();
        for tree in trees {
            collect(tree, &mut classes);
        }
        let all = vec![(0, u32::from(char::MAX))];
        let word = vec![(0x30, 0x39), (0x41, 0x5a), (0x5f, 0x5f), (0x61, 0x7a)];
        let [dot, slash] = ['.', '/'].map(|c| vec![(u32::from(c), u32::from(c))]);
        classes.extend([&all, &word, &dot, &slash].map(Clone::clone));
        let mut alphabet = Self {
            representatives: Vec::new(),
            starts: Vec::new(),
            sets: Vec::new(),
            of_class: HashMap::new(),
            numbers: HashMap::new(),
            all: 0,
            word: 0,
            dot: 0,
            slash: 0,
        };
        alphabet.fill(&classes)?;
        [alphabet.all, alphabet.word, alphabet.dot, alphabet.slash] =
            [&all, &word, &dot, &slash].map(|class| alphabet.of_class[class]);
        Ok(alphabet)
    }

    fn fill(&mut self, classes: &BTreeSet<Vec<(u32, u32)>>) -> Result<(), TooLarge> {
        // Control characters and surrogates are in no path.
        let mut cuts = BTreeSet::from([0x20, 0x7f, 0x80, 0xd800, 0xe000, 0x11_0000]);
        for &(first, last) in classes.iter().flatten() {
            cuts.extend([first, last + 1]);
        }
        let cuts: Vec<u32> = cuts.into_iter().filter(|&cut| cut >= 0x20).collect();
        let starts: Vec<u32> = cuts
            .iter()
            .copied()
            .filter(|start| !matches!(start, 0x7f | 0xd800..0xe000 | 0x11_0000..))
            .collect();
        if starts.len().saturating_mul(classes.len()) > MOST_WORK {
            return Err(TooLarge);
        }
        let mut members = vec![Vec::new(); starts.len()];
        for (number, class) in classes.iter().enumerate() {
            for &(first, last) in class {
                let from = starts.partition_point(|&start| start < first);
                let to = starts.partition_point(|&start| start <= last);
                for member in members.get_mut(from..to).unwrap_or_default() {
                    member.push(number);
                }
            }
        }
        let mut order: Vec<(usize, char, &Vec<usize>)> = starts
            .iter()
            .zip(&members)
            .filter_map(|(&start, member)| {
                let end = cuts
                    .get(cuts.partition_point(|&cut| cut <= start))
                    .copied()?;
                let (rank, c) = most_natural(start, end)?;
                Some((rank, c, member))
            })
            .collect();
        order.sort_by_key(|(rank, c, _)| (*rank, *c));
        let mut symbols: HashMap<&Vec<usize>, usize> = HashMap::new();
        for (_, c, member) in &order {
            symbols.entry(member).or_insert_with(|| {
                self.representatives.push(*c);
                self.representatives.len() - 1
            });
        }
        let of_start = starts.iter().zip(&members);
        self.starts = of_start
            .filter_map(|(&start, member)| Some((start, *symbols.get(member)?)))
            .collect();
        let mut sets = vec![SymbolSet::empty(symbols.len()); classes.len()];
        for (member, &symbol) in &symbols {
            for &class in *member {
                sets[class].insert(symbol);
            }
        }
        for (class, set) in classes.iter().zip(sets) {
            let id = self.number(set);
            self.of_class.insert(class.clone(), id);
        }
        Ok(())
    }

    /// Whether these sets hold every symbol together.
    pub(super) fn is_all(&self, sets: impl Iterator<Item = SetId>) -> bool {
        let none = SymbolSet::empty(self.representatives.len());
        sets.fold(none, |sum, id| sum.or(self.set(id))) == *self.set(self.all)
    }

    /// The number of `set`.
    pub(super) fn number(&mut self, set: SymbolSet) -> SetId {
        if let Some(&id) = self.numbers.get(&set) {
            return id;
        }
        self.sets.push(set.clone());
        self.numbers.insert(set, self.sets.len() - 1);
        self.sets.len() - 1
    }

    pub(super) fn set(&self, id: SetId) -> &SymbolSet {
        &self.sets[id]
    }

    /// The symbols of a node that stands for one character; `None` for any other node. The tree must be one that the
    /// alphabet was made for.
    pub(super) fn of_node(&self, node: &Node) -> Option<SetId> {
        self.of_class.get(&ranges(node)?).copied()
    }

    /// The symbol of a character; `None` for one that is in no path.
    pub(super) fn symbol(&self, c: char) -> Option<usize> {
        if matches!(c, '\0'..='\x1f' | '\x7f') {
            return None;
        }
        let behind = self
            .starts
            .partition_point(|&(start, _)| start <= u32::from(c));
        Some(self.starts.get(behind.checked_sub(1)?)?.1)
    }

    /// The character to show for a symbol.
    pub(super) fn representative(&self, symbol: usize) -> char {
        self.representatives[symbol]
    }
}

/// The most natural character from `start` to before `end`, and its place among all.
fn most_natural(start: u32, end: u32) -> Option<(usize, char)> {
    let inside = |c: char| (start..end).contains(&u32::from(c));
    match NATURAL.chars().enumerate().find(|(_, c)| inside(*c)) {
        Some(found) => Some(found),
        None => Some((usize::MAX, char::from_u32(start)?)),
    }
}

/// The ranges of a node that stands for one character.
fn ranges(node: &Node) -> Option<Vec<(u32, u32)>> {
    match node {
        Node::Literal(c) => Some(vec![(u32::from(*c), u32::from(*c))]),
        Node::Class(set) => Some(of_class(set)),
        _ => None,
    }
}

fn of_class(set: &ClassUnicode) -> Vec<(u32, u32)> {
    set.ranges()
        .iter()
        .map(|range| (range.start().into(), range.end().into()))
        .collect()
}

fn collect(node: &Node, classes: &mut BTreeSet<Vec<(u32, u32)>>) {
    match node {
        Node::Empty | Node::Assertion(_) => {}
        Node::Literal(_) | Node::Class(_) => classes.extend(ranges(node)),
        Node::Capture(node) | Node::Repeat { node, .. } => collect(node, classes),
        Node::Concat(nodes) | Node::Alternate(nodes) => {
            for node in nodes {
                collect(node, classes);
            }
        }
    }
}

//! What each rule matches, as automata over one alphabet.

use std::collections::HashMap;

use super::{dots, parallel};
use crate::{
    automaton::{
        Alphabet, Budget, Machine, Paths, Place, Room, TooLarge, common_path, uncovered_path,
    },
    pattern::{Assertion, Node, Pattern},
    rules::Rule,
};

/// Steps for one question, so that a single bad pattern does not take all.
const STEPS_FOR_ONE: u64 = 3_000_000;
/// What a question costs however soon it is answered.
const STEPS_TO_ASK: u64 = 200;
/// States and moves of all rules together; about 60 MiB.
const ROOM: usize = 5_000_000;
/// What is kept of it for the universe, which has a few.
const ROOM_FOR_UNIVERSE: usize = 10_000;

/// The languages of some rules, by number.
pub(super) struct Languages {
    alphabet: Result<Alphabet, TooLarge>,
    /// Equal patterns have one.
    all: Vec<Result<Language, TooLarge>>,
    /// For each rule the number of its own.
    of_rule: Vec<usize>,
    /// Every path.
    universe: Result<Paths, TooLarge>,
}

/// What may still be spent on questions.
#[derive(Clone, Copy, Debug)]
pub(super) struct Steps(pub(super) u64);

impl Steps {
    /// Whether no further question can be asked.
    pub(super) fn are_spent(self) -> bool {
        self.0 < STEPS_TO_ASK
    }
}

/// Of a pattern that does not compile: nothing.
#[derive(Default)]
struct Language {
    anywhere: Machine,
    paths: Paths,
    /// From the first character on; `None` where that is the same, because the pattern begins with `^`.
    from_start: Option<Exact>,
    /// What every path starts with; empty where that is not known.
    prefix: String,
    /// The same of `paths_from_start`.
    prefix_from_start: String,
    /// `from_start` with the dots that stand for literal ones; `None` where there are none.
    strict: Option<Exact>,
}

/// A machine and the paths that it accepts.
struct Exact {
    machine: Machine,
    paths: Paths,
}

impl Exact {
    fn new(
        tree: Option<&Node>,
        alphabet: &mut Alphabet,
        room: &mut Room,
    ) -> Result<Self, TooLarge> {
        let machine = Machine::new(tree, Place::Start, alphabet, room)?;
        let paths = Paths::of(&machine, alphabet, room)?;
        Ok(Self { machine, paths })
    }
}

impl Languages {
    pub(super) fn new(rules: &[Rule]) -> Self {
        let mut numbers: HashMap<(Option<&str>, bool), usize> = HashMap::new();
        rules.iter().for_each(Rule::admit);
        // It stays with the rule, below.
        parallel::for_each(rules.len(), |at| {
            rules.get(at).map(|rule| rule.pattern().is_ok())
        });
        // `None` stands for a pattern that does not compile, and within it for a rule that matches everything.
        let mut trees = Vec::new();
        let of_rule = rules
            .iter()
            .map(|rule| {
                let text = rule.path_regex.as_ref().map(|source| source.text.as_str());
                // Of two that are equal, one may have no room left.
                let tree = rule
                    .pattern()
                    .ok()
                    .map(|pattern| pattern.map(Pattern::tree));
                *numbers.entry((text, tree.is_some())).or_insert_with(|| {
                    trees.push(tree);
                    trees.len() - 1
                })
            })
            .collect();
        let mut alphabet = Alphabet::new(trees.iter().copied().flatten().flatten());
        let (all, universe) = match &mut alphabet {
            Ok(alphabet) => {
                let mut room = Room::new(ROOM_FOR_UNIVERSE);
                let universe = Machine::new(None, Place::Anywhere, alphabet, &mut room)
                    .and_then(|machine| Paths::of(&machine, alphabet, &mut room));
                (
                    languages(&trees, alphabet, ROOM - ROOM_FOR_UNIVERSE),
                    universe,
                )
            }
            Err(TooLarge) => (trees.iter().map(|_| Err(TooLarge)).collect(), Err(TooLarge)),
        };
        Self {
            alphabet,
            all,
            of_rule,
            universe,
        }
    }

    /// What every path of the rule starts with; empty where that is not known.
    pub(super) fn prefix(&self, rule: usize) -> &str {
        self.language(rule).map_or("", |language| &language.prefix)
    }

    /// Whether no path at all matches.
    pub(super) fn is_empty(&self, rule: usize) -> Result<bool, TooLarge> {
        Ok(self.language(rule)?.paths.is_empty())
    }

    /// A path that both match.
    pub(super) fn common(
        &self,
        left: usize,
        right: usize,
        steps: &mut Steps,
    ) -> Result<Option<String>, TooLarge> {
        if apart(self.prefix(left), self.prefix(right)) {
            return Ok(None);
        }
        self.ask(steps, |languages, alphabet, budget| {
            let (left, right) = (languages.language(left)?, languages.language(right)?);
            common_path(&left.paths, &right.anywhere, alphabet, budget)
        })
    }

    /// A path that both match from its first character on.
    pub(super) fn common_from_start(
        &self,
        left: usize,
        right: usize,
        steps: &mut Steps,
    ) -> Result<Option<String>, TooLarge> {
        let (left, right) = (self.language(left)?, self.language(right)?);
        if apart(&left.prefix_from_start, &right.prefix_from_start) {
            return Ok(None);
        }
        self.ask(steps, |_, alphabet, budget| {
            common_path(
                left.paths_from_start(),
                right.machine_from_start(),
                alphabet,
                budget,
            )
        })
    }

    /// Whether two rules, which meet on a path that both match from its first character on, do so only because a dot
    /// that stands for a literal one matches something else.
    pub(super) fn meet_through_dots(&self, left: usize, right: usize, steps: &mut Steps) -> bool {
        let (Ok(left), Ok(right)) = (self.language(left), self.language(right)) else {
            return false;
        };
        if left.strict.is_none() && right.strict.is_none() {
            return false;
        }
        let from = left
            .strict
            .as_ref()
            .map_or_else(|| left.paths_from_start(), |strict| &strict.paths);
        let to = right
            .strict
            .as_ref()
            .map_or_else(|| right.machine_from_start(), |strict| &strict.machine);
        let common = self.ask(steps, |_, alphabet, budget| {
            common_path(from, to, alphabet, budget)
        });
        matches!(common, Ok(None))
    }

    /// The automaton of the rule, with the alphabet that it is over.
    pub(super) fn machine(&self, rule: usize) -> Option<(&Machine, &Alphabet)> {
        Some((
            &self.language(rule).ok()?.anywhere,
            self.alphabet.as_ref().ok()?,
        ))
    }

    /// A path of `inner` that none of `outer` matches.
    pub(super) fn uncovered(
        &self,
        inner: usize,
        outer: &[usize],
        steps: &mut Steps,
    ) -> Result<Option<String>, TooLarge> {
        self.ask(steps, |languages, alphabet, budget| {
            let machines = languages.machines(outer.iter().copied())?;
            uncovered_path(
                &languages.language(inner)?.paths,
                &machines,
                alphabet,
                budget,
            )
        })
    }

    /// Whether the rule matches every path.
    pub(super) fn covers_everything(
        &self,
        rule: usize,
        steps: &mut Steps,
    ) -> Result<bool, TooLarge> {
        self.ask(steps, |languages, alphabet, budget| {
            let machines = languages.machines([rule])?;
            let universe = languages.universe.as_ref().map_err(|&error| error)?;
            uncovered_path(universe, &machines, alphabet, budget).map(|path| path.is_none())
        })
    }

    /// A path that no rule matches.
    pub(super) fn uncovered_by_all(&self, steps: &mut Steps) -> Result<Option<String>, TooLarge> {
        self.ask(steps, |languages, alphabet, budget| {
            let machines = languages.machines(0..languages.of_rule.len())?;
            let universe = languages.universe.as_ref().map_err(|&error| error)?;
            uncovered_path(universe, &machines, alphabet, budget)
        })
    }

    fn language(&self, rule: usize) -> Result<&Language, TooLarge> {
        match self
            .of_rule
            .get(rule)
            .and_then(|&number| self.all.get(number))
        {
            Some(Ok(language)) => Ok(language),
            _ => Err(TooLarge),
        }
    }

    fn machines(&self, rules: impl IntoIterator<Item = usize>) -> Result<Vec<&Machine>, TooLarge> {
        rules
            .into_iter()
            .map(|rule| Ok(&self.language(rule)?.anywhere))
            .collect()
    }

    /// Answers one question within its share of the steps.
    fn ask<T>(
        &self,
        steps: &mut Steps,
        question: impl FnOnce(&Self, &Alphabet, &mut Budget) -> Result<T, TooLarge>,
    ) -> Result<T, TooLarge> {
        let left = steps.0.checked_sub(STEPS_TO_ASK).ok_or(TooLarge)?;
        let share = left.min(STEPS_FOR_ONE);
        let mut budget = Budget::new(share);
        let alphabet = self.alphabet.as_ref().map_err(|&error| error)?;
        let answer = question(self, alphabet, &mut budget);
        steps.0 = left - (share - budget.left());
        answer
    }
}

/// Each gets its share of the room at first, so that a few large patterns do not keep the others from being analysed; what
/// is left goes to those that need more.
fn languages(
    trees: &[Option<Option<&Node>>],
    alphabet: &mut Alphabet,
    room: usize,
) -> Vec<Result<Language, TooLarge>> {
    let mut left = room;
    let mut within = |tree: &Option<Option<&Node>>, share: usize| {
        let Some(tree) = tree else {
            return Ok(Language::default());
        };
        let mut room = Room::new(share.min(left));
        let language = Language::new(*tree, alphabet, &mut room)?;
        left -= share.min(left) - room.left();
        Ok(language)
    };
    let share = room / trees.len().max(1);
    let mut all: Vec<_> = trees.iter().map(|tree| within(tree, share)).collect();
    for (tree, language) in trees.iter().zip(&mut all) {
        if language.is_err() {
            *language = within(tree, room);
        }
    }
    all
}

impl Language {
    fn machine_from_start(&self) -> &Machine {
        let exact = self.from_start.as_ref();
        exact.map_or(&self.anywhere, |exact| &exact.machine)
    }

    fn paths_from_start(&self) -> &Paths {
        let exact = self.from_start.as_ref();
        exact.map_or(&self.paths, |exact| &exact.paths)
    }

    fn new(
        tree: Option<&Node>,
        alphabet: &mut Alphabet,
        room: &mut Room,
    ) -> Result<Self, TooLarge> {
        let anywhere = Machine::new(tree, Place::Anywhere, alphabet, room)?;
        let (is_anchored, prefix) = tree.map(prefix).unwrap_or_default();
        let from_start = match is_anchored {
            true => None,
            false => Some(Exact::new(tree, alphabet, room)?),
        };
        let strict = match tree.and_then(dots::strict) {
            Some(tree) => Some(Exact::new(Some(&tree), alphabet, room)?),
            None => None,
        };
        Ok(Self {
            paths: Paths::of(&anywhere, alphabet, room)?,
            anywhere,
            from_start,
            prefix: if is_anchored {
                prefix.clone()
            } else {
                String::new()
            },
            prefix_from_start: prefix,
            strict,
        })
    }
}

/// Whether no text starts with both.
fn apart(left: &str, right: &str) -> bool {
    !left.starts_with(right) && !right.starts_with(left)
}

/// The literals at the start of a pattern, and whether a `^` stands before them.
fn prefix(tree: &Node) -> (bool, String) {
    let nodes = match tree {
        Node::Concat(nodes) => nodes.as_slice(),
        single => std::slice::from_ref(single),
    };
    let (is_anchored, rest) = match nodes.split_first() {
        Some((Node::Assertion(Assertion::TextStart), rest)) => (true, rest),
        _ => (false, nodes),
    };
    let literals = rest.iter().map_while(|node| match node {
        Node::Literal(c) => Some(*c),
        _ => None,
    });
    (is_anchored, literals.collect())
}

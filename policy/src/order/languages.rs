//! What each rule matches, as automata over one alphabet.

use crate::{
    automaton::{Alphabet, Budget, Machine, Paths, Place, TooLarge, common_path, uncovered_path},
    pattern::{Assertion, Node, Pattern},
    rules::Rule,
};

/// Steps for one analysis, some seconds of work; and for one question, so that a single bad pattern does not take all.
const STEPS: u64 = 100_000_000;
const STEPS_FOR_ONE: u64 = 5_000_000;
/// What a question costs however soon it is answered.
const STEPS_TO_ASK: u64 = 200;

/// The languages of some rules, by number.
pub(super) struct Languages {
    alphabet: Result<Alphabet, TooLarge>,
    rules: Vec<Result<Language, TooLarge>>,
    /// Every path.
    universe: Result<Paths, TooLarge>,
    left: u64,
}

/// Of a pattern that does not compile: nothing.
#[derive(Default)]
struct Language {
    anywhere: Machine,
    from_start: Machine,
    paths: Paths,
    paths_from_start: Paths,
    /// What every path starts with; empty where that is not known.
    prefix: String,
}

impl Languages {
    pub(super) fn new(rules: &[Rule]) -> Self {
        // `None` stands for a pattern that does not compile, and within it for a rule that matches everything.
        let trees: Vec<Option<Option<&Node>>> = rules
            .iter()
            .map(|rule| Some(rule.pattern().ok()?.map(Pattern::tree)))
            .collect();
        let all = trees.iter().copied().flatten().flatten();
        let mut alphabet = Alphabet::new(all);
        let (languages, universe) = match &mut alphabet {
            Ok(alphabet) => (
                trees
                    .into_iter()
                    .map(|tree| match tree {
                        Some(tree) => Language::new(tree, alphabet),
                        None => Ok(Language::default()),
                    })
                    .collect(),
                Machine::new(None, Place::Anywhere, alphabet)
                    .and_then(|machine| Paths::of(&machine, alphabet)),
            ),
            Err(TooLarge) => (rules.iter().map(|_| Err(TooLarge)).collect(), Err(TooLarge)),
        };
        Self {
            alphabet,
            rules: languages,
            universe,
            left: STEPS,
        }
    }

    /// Whether no path at all matches.
    pub(super) fn is_empty(&self, rule: usize) -> Result<bool, TooLarge> {
        Ok(self.language(rule)?.paths.is_empty())
    }

    /// Whether two rules differ in what their paths start with. A question that costs nothing, and the answer for nearly
    /// all pairs of a large fleet.
    fn start_apart(&self, left: usize, right: usize) -> Result<bool, TooLarge> {
        let (left, right) = (&self.language(left)?.prefix, &self.language(right)?.prefix);
        Ok(!left.starts_with(right.as_str()) && !right.starts_with(left.as_str()))
    }

    /// A path that both match.
    pub(super) fn common(&mut self, left: usize, right: usize) -> Result<Option<String>, TooLarge> {
        if self.start_apart(left, right)? {
            return Ok(None);
        }
        self.ask(|languages, alphabet, budget| {
            let (left, right) = (languages.language(left)?, languages.language(right)?);
            common_path(&left.paths, &right.anywhere, alphabet, budget)
        })
    }

    /// A path that both match from its first character on.
    pub(super) fn common_from_start(
        &mut self,
        left: usize,
        right: usize,
    ) -> Result<Option<String>, TooLarge> {
        self.ask(|languages, alphabet, budget| {
            let (left, right) = (languages.language(left)?, languages.language(right)?);
            common_path(&left.paths_from_start, &right.from_start, alphabet, budget)
        })
    }

    /// A path of `inner` that none of `outer` matches.
    pub(super) fn uncovered(
        &mut self,
        inner: usize,
        outer: &[usize],
    ) -> Result<Option<String>, TooLarge> {
        self.ask(|languages, alphabet, budget| {
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
    pub(super) fn covers_everything(&mut self, rule: usize) -> Result<bool, TooLarge> {
        self.ask(|languages, alphabet, budget| {
            let machines = languages.machines([rule])?;
            let universe = languages.universe.as_ref().map_err(|&error| error)?;
            uncovered_path(universe, &machines, alphabet, budget).map(|path| path.is_none())
        })
    }

    /// A path that no rule matches.
    pub(super) fn uncovered_by_all(&mut self) -> Result<Option<String>, TooLarge> {
        self.ask(|languages, alphabet, budget| {
            let machines = languages.machines(0..languages.rules.len())?;
            let universe = languages.universe.as_ref().map_err(|&error| error)?;
            uncovered_path(universe, &machines, alphabet, budget)
        })
    }

    fn language(&self, rule: usize) -> Result<&Language, TooLarge> {
        match self.rules.get(rule) {
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
        &mut self,
        question: impl FnOnce(&Self, &Alphabet, &mut Budget) -> Result<T, TooLarge>,
    ) -> Result<T, TooLarge> {
        self.left = self.left.checked_sub(STEPS_TO_ASK).ok_or(TooLarge)?;
        let share = self.left.min(STEPS_FOR_ONE);
        let mut budget = Budget::new(share);
        let alphabet = self.alphabet.as_ref().map_err(|&error| error)?;
        let answer = question(self, alphabet, &mut budget);
        self.left -= share - budget.left();
        answer
    }
}

impl Language {
    fn new(tree: Option<&Node>, alphabet: &mut Alphabet) -> Result<Self, TooLarge> {
        let anywhere = Machine::new(tree, Place::Anywhere, alphabet)?;
        let from_start = Machine::new(tree, Place::Start, alphabet)?;
        Ok(Self {
            paths: Paths::of(&anywhere, alphabet)?,
            paths_from_start: Paths::of(&from_start, alphabet)?,
            anywhere,
            from_start,
            prefix: tree.map(prefix).unwrap_or_default(),
        })
    }
}

/// The literals behind a `^` at the start of a pattern.
fn prefix(tree: &Node) -> String {
    let Node::Concat(nodes) = tree else {
        return String::new();
    };
    let Some((Node::Assertion(Assertion::TextStart), rest)) = nodes.split_first() else {
        return String::new();
    };
    let literals = rest.iter().map_while(|node| match node {
        Node::Literal(c) => Some(*c),
        _ => None,
    });
    literals.collect()
}

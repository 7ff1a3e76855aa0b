//! Parameters of lambdas, such as `i` in `array_filter(visits, i -> i['no'] is not null)`: an element of the call's list.

use super::lexer::Token;
use super::query::Span;
use super::scope::{Called, Is, Named, Scope};

/// Functions over a list and a lambda that give back elements of that list.
const KEEPING: [&str; 14] = [
    "array_distinct",
    "array_filter",
    "array_pop_back",
    "array_pop_front",
    "array_reverse",
    "array_slice",
    "array_sort",
    "list_distinct",
    "list_filter",
    "list_pop_back",
    "list_pop_front",
    "list_reverse",
    "list_slice",
    "list_sort",
];

/// A lambda around a token.
struct Lambda {
    /// The tokens of its parameters.
    parameters: Vec<usize>,
    /// The call's first argument.
    list: Span,
}

impl<'a> Scope<'a, '_> {
    /// What the name at a token is, if a lambda around it has a parameter of this name.
    pub fn parameter(&self, at: usize, tables: &[Called<'a>]) -> Option<Named<'a>> {
        let name = &self.tokens.get(at)?.value;
        let (lambda, number) = around(self.tokens, at).into_iter().find_map(|lambda| {
            let mut parameters = lambda.parameters.iter();
            let number = parameters.position(|parameter| self.tokens[*parameter].value == *name)?;
            Some((lambda, number))
        })?;
        let written = &self.tokens[lambda.parameters[number]];
        Some(Named {
            name: name.clone(),
            // What comes behind the element, such as its number, is no field.
            is: match number {
                0 => self.value(lambda.list, tables).element(),
                _ => Is::Other,
            },
            written: Some((written.start, written.end)),
        })
    }

    /// The tokens of all parameters that a token may name, the innermost first.
    pub fn parameters(&self, at: usize) -> Vec<usize> {
        let lambdas = around(self.tokens, at).into_iter();
        lambdas.flat_map(|lambda| lambda.parameters).collect()
    }

    /// The list whose elements a call gives back, or some of them.
    pub fn kept(&self, call: &Span) -> Option<Span> {
        let opens = self.tokens.get(call.start + 1).and_then(Token::sign) == Some('(');
        let closes = self.tokens.get(call.end.checked_sub(1)?).and_then(Token::sign) == Some(')');
        let known = KEEPING.iter().any(|name| self.tokens[call.start].is(name));
        (known && opens && closes).then(|| first_argument(self.tokens, call.start + 1))
    }
}

fn is_arrow(tokens: &[Token], at: usize) -> bool {
    let sign = |at: usize| tokens.get(at).and_then(Token::sign);
    sign(at) == Some('-') && sign(at + 1) == Some('>') && tokens[at].end == tokens[at + 1].start
}

/// The lambdas in whose bodies a token stands, or of which it is the parameter. The innermost comes first.
fn around(tokens: &[Token], at: usize) -> Vec<Lambda> {
    let mut found = Vec::new();
    let start = if is_arrow(tokens, at + 1) { at + 2 } else { at };
    let (mut depth, mut arrow, mut behind_comma) = (0_usize, None, false);
    for place in (0..=start.min(tokens.len().saturating_sub(1))).rev() {
        match tokens[place].sign() {
            Some(')' | ']') => depth += 1,
            Some('(' | '[') if depth > 0 => depth -= 1,
            Some(open @ ('(' | '[')) => {
                let called = place.checked_sub(1).is_some_and(|before| tokens[before].is_name());
                if let Some(arrow) = arrow.take()
                    && open == '('
                    && called
                {
                    found.push(Lambda {
                        parameters: parameters(tokens, arrow),
                        list: first_argument(tokens, place),
                    });
                }
                behind_comma = false;
            }
            Some(',') if depth == 0 => behind_comma = true,
            Some('-') if depth == 0 && !behind_comma && arrow.is_none() && is_arrow(tokens, place) => {
                arrow = Some(place);
            }
            _ => {}
        }
    }
    found
}

/// The names before an arrow: `i`, or `(i, n)`.
fn parameters(tokens: &[Token], arrow: usize) -> Vec<usize> {
    let names = |range: std::ops::Range<usize>| range.filter(|at| tokens[*at].is_name()).collect();
    match arrow.checked_sub(1).map(|at| (at, &tokens[at])) {
        Some((at, token)) if token.is_name() => vec![at],
        Some((at, token)) if token.sign() == Some(')') => {
            let open = tokens[..at].iter().rposition(|token| token.sign() == Some('('));
            open.map_or_else(Vec::new, |open| names(open..at))
        }
        _ => Vec::new(),
    }
}

/// The tokens between a parenthesis and the first comma in it.
fn first_argument(tokens: &[Token], open: usize) -> Span {
    let mut depth = 0_usize;
    for (at, token) in tokens.iter().enumerate().skip(open + 1) {
        match token.sign() {
            Some('(' | '[') => depth += 1,
            Some(')' | ']' | ',') if depth == 0 => return open + 1..at,
            Some(')' | ']') => depth -= 1,
            _ => {}
        }
    }
    open + 1..tokens.len()
}

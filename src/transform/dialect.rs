//! The dialect in which transforms and checks are parsed: sqlparser's generic one, and lambdas (`x -> x > 1`) as arguments
//! of the functions that take one. Elsewhere `->` stays what it was, the part of a JSON text under a key.

use std::any::TypeId;
use std::collections::HashSet;

use datafusion::sql::sqlparser::ast::{
    Expr, LambdaFunction, LambdaFunctionParameter, LambdaSyntax, OneOrManyWithParens,
};
use datafusion::sql::sqlparser::dialect::{Dialect, GenericDialect};
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::{Location, Token, TokenWithSpan};

/// The generic dialect for one text, in which lambdas start at the given places.
#[derive(Debug)]
pub(super) struct WithLambdas {
    starts: HashSet<Location>,
}

impl WithLambdas {
    /// Finds the lambdas: arguments that start with a name, or names in parentheses, and an arrow. `takes_lambda` tells
    /// it of a function, by its name in lower case.
    pub fn of(tokens: &[TokenWithSpan], takes_lambda: impl Fn(&str) -> bool) -> Self {
        let words: Vec<&TokenWithSpan> = tokens
            .iter()
            .filter(|token| !matches!(token.token, Token::Whitespace(_)))
            .collect();
        let mut starts = HashSet::new();
        // For each open parenthesis: whether a function that takes a lambda opened it.
        let mut open = Vec::new();
        for (at, token) in words.iter().enumerate() {
            match &token.token {
                Token::LParen => {
                    let function = at.checked_sub(1).and_then(|before| match &words[before].token {
                        Token::Word(word) => Some(word.value.to_lowercase()),
                        _ => None,
                    });
                    open.push(function.is_some_and(|name| takes_lambda(&name)));
                }
                Token::RParen => drop(open.pop()),
                _ => {}
            }
            let inside = open.last() == Some(&true) && matches!(token.token, Token::LParen | Token::Comma);
            if let Some(first) = words.get(at + 1)
                && inside
                && is_lambda(&words[at + 1..])
            {
                starts.insert(first.span.start);
            }
        }
        Self { starts }
    }
}

/// `x -> `, or `(x, y) -> `.
fn is_lambda(words: &[&TokenWithSpan]) -> bool {
    let mut rest = words.iter().map(|word| &word.token);
    match rest.next() {
        Some(Token::Word(_)) => rest.next() == Some(&Token::Arrow),
        Some(Token::LParen) => {
            let mut rest = rest.skip_while(|token| matches!(token, Token::Word(_) | Token::Comma));
            rest.next() == Some(&Token::RParen) && rest.next() == Some(&Token::Arrow)
        }
        _ => false,
    }
}

fn lambda(parser: &mut Parser<'_>) -> Result<Expr, ParserError> {
    let parameter = |parser: &mut Parser<'_>| {
        parser
            .parse_identifier()
            .map(|name| LambdaFunctionParameter { name, data_type: None })
    };
    let params = if parser.consume_token(&Token::LParen) {
        let names = parser.parse_comma_separated(parameter)?;
        parser.expect_token(&Token::RParen)?;
        OneOrManyWithParens::Many(names)
    } else {
        OneOrManyWithParens::One(parameter(parser)?)
    };
    parser.expect_token(&Token::Arrow)?;
    Ok(Expr::Lambda(LambdaFunction {
        params,
        body: Box::new(parser.parse_expr()?),
        syntax: LambdaSyntax::Arrow,
    }))
}

/// What the generic dialect answers.
macro_rules! as_generic {
    ($($question:ident),* $(,)?) => {
        $(fn $question(&self) -> bool {
            GenericDialect.$question()
        })*
    };
}

impl Dialect for WithLambdas {
    /// The parser asks for the generic dialect by its type.
    fn dialect(&self) -> TypeId {
        TypeId::of::<GenericDialect>()
    }

    fn parse_prefix(&self, parser: &mut Parser<'_>) -> Option<Result<Expr, ParserError>> {
        let here = parser.peek_token_ref().span.start;
        self.starts.contains(&here).then(|| lambda(parser))
    }

    fn is_delimited_identifier_start(&self, ch: char) -> bool {
        GenericDialect.is_delimited_identifier_start(ch)
    }

    fn is_identifier_start(&self, ch: char) -> bool {
        GenericDialect.is_identifier_start(ch)
    }

    fn is_identifier_part(&self, ch: char) -> bool {
        GenericDialect.is_identifier_part(ch)
    }

    // All that `sqlparser::dialect::GenericDialect` overrides; its others are the trait's own.
    as_generic! {
        supports_unicode_string_literal,
        supports_partition_by_after_order_by,
        supports_array_join_syntax,
        supports_group_by_expr,
        supports_group_by_with_modifier,
        supports_left_associative_joins_without_parens,
        supports_connect_by,
        supports_match_recognize,
        supports_pipe_operator,
        supports_start_transaction_modifier,
        supports_window_function_null_treatment_arg,
        supports_dictionary_syntax,
        supports_window_clause_named_window_reference,
        supports_parenthesized_set_variables,
        supports_select_wildcard_except,
        support_map_literal_syntax,
        allow_extract_custom,
        allow_extract_single_quotes,
        supports_extract_comma_syntax,
        supports_create_view_comment_syntax,
        supports_parens_around_table_factor,
        supports_values_as_table_factor,
        supports_create_index_with_clause,
        supports_explain_with_utility_options,
        supports_limit_comma,
        supports_update_order_by,
        supports_from_first_select,
        supports_projection_trailing_commas,
        supports_asc_desc_in_column_definition,
        supports_try_convert,
        supports_bitwise_shift_operators,
        supports_comment_on,
        supports_load_extension,
        supports_named_fn_args_with_assignment_operator,
        supports_struct_literal,
        supports_empty_projections,
        supports_nested_comments,
        supports_multiline_comment_hints,
        supports_user_host_grantee,
        supports_string_escape_constant,
        supports_array_typedef_with_brackets,
        supports_match_against,
        supports_set_names,
        supports_comma_separated_set_assignments,
        supports_filter_during_aggregation,
        supports_select_wildcard_exclude,
        supports_data_type_signed_suffix,
        supports_interval_options,
        supports_quote_delimited_string,
        supports_select_wildcard_replace,
        supports_select_wildcard_ilike,
        supports_select_wildcard_rename,
        supports_optimize_table,
        supports_install,
        supports_detach,
        supports_prewhere,
        supports_with_fill,
        supports_limit_by,
        supports_interpolate,
        supports_settings,
        supports_select_format,
        supports_comment_optimizer_hint,
        supports_constraint_keyword_without_name,
        supports_key_column_option,
        supports_comma_separated_trim,
        supports_cte_without_as,
        supports_select_item_multi_column_alias,
        supports_xml_expressions,
    }
}

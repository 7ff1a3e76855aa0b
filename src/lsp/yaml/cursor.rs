//! Where in a YAML file the cursor is: below which keys, and whether a key or a value is being written. It is told from the
//! indentation and the brackets of a line, since YAML that is being typed can't be parsed.

/// Where the cursor is in a YAML file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cursor {
    /// The keys above it, from the top. An element of a list is `[]`.
    pub path: Vec<String>,
    /// Whether the value of the last key is being written, and not a key.
    pub is_value: bool,
    /// The byte in the text where what is being typed begins.
    pub start: usize,
    /// The keys that the same mapping has already.
    pub beside: Vec<String>,
}

const ELEMENT: &str = "[]";

/// The cursor at a byte.
pub(super) fn cursor_at(text: &str, offset: usize) -> Cursor {
    let line_start = text[..offset].rfind('\n').map_or(0, |at| at + 1);
    let before = &text[line_start..offset];
    let typed = before
        .chars()
        .rev()
        .take_while(|c| is_in_key(*c))
        .map(char::len_utf8)
        .sum::<usize>();
    let start = offset - typed;
    let written = &text[line_start..start];
    let (marks, column) = Line::of(written).map_or((0, written.len()), |line| (line.marks, line.column));
    let mut path = above(&text[..line_start], column, marks);
    let flow = Flow::read(written[column.min(written.len())..].trim_start());
    let is_value = flow.key.is_some();
    let in_braces = !flow.opened.is_empty();
    let beside = if in_braces {
        flow.keys.clone()
    } else {
        siblings(text, line_start, column, marks > 0)
    };
    path.extend(flow.opened);
    path.extend(flow.key);
    Cursor {
        path,
        is_value,
        start,
        beside,
    }
}

fn is_in_key(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '$')
}

/// A line of a block: its list marks and its key.
struct Line<'t> {
    /// The column of the first mark or character.
    indent: usize,
    /// How many `- ` it begins with.
    marks: usize,
    /// The column behind them.
    column: usize,
    key: Option<&'t str>,
}

impl<'t> Line<'t> {
    /// `None` for an empty line and a comment.
    fn of(line: &'t str) -> Option<Self> {
        let indent = line.len() - line.trim_start().len();
        let mut column = indent;
        let mut marks = 0;
        while let Some(rest) = line[column..].strip_prefix('-') {
            if !rest.is_empty() && !rest.starts_with(' ') {
                break;
            }
            marks += 1;
            column += 1 + (rest.len() - rest.trim_start().len());
        }
        let content = &line[column..];
        if (content.trim().is_empty() && marks == 0) || content.starts_with('#') {
            return None;
        }
        let (key, rest) = content.split_once(':').unwrap_or((content, "x"));
        let is_key = rest.is_empty() || rest.starts_with([' ', '\r']);
        let plain = !key.starts_with(['{', '[']);
        Some(Self {
            indent,
            marks,
            column,
            key: (is_key && plain).then(|| key.trim().trim_matches(['"', '\''])),
        })
    }
}

/// The keys above a column, read upwards from the end of a text.
fn above(text: &str, column: usize, marks: usize) -> Vec<String> {
    let mut path = vec![ELEMENT.to_owned(); marks];
    // A list may stand in the same column as the key that holds it, and the elements before this one do, too.
    let mut marked = column.saturating_sub(2 * marks);
    let mut limit = if marks > 0 { marked + 1 } else { column };
    for line in text.lines().rev() {
        let Some(line) = Line::of(line) else { continue };
        if let Some(key) = line.key.filter(|_| line.column < limit) {
            path.push(key.to_owned());
            (limit, marked) = (line.column, line.column);
        }
        if line.marks > 0 && line.indent < marked {
            path.extend(std::iter::repeat_n(ELEMENT.to_owned(), line.marks));
            (limit, marked) = (line.indent + 1, line.indent);
        }
        if limit == 0 {
            break;
        }
    }
    path.reverse();
    path
}

/// The keys in a column around a line, which may be the first one of its mapping.
fn siblings(text: &str, line_start: usize, column: usize, is_first: bool) -> Vec<String> {
    let own = |line: Line<'_>| (line.column == column).then_some(line.key).flatten().map(str::to_owned);
    let mut keys = Vec::new();
    let above = if is_first { "" } else { &text[..line_start] };
    for line in above.lines().rev().filter_map(Line::of) {
        if line.column < column || line.column > column && line.indent < column {
            break;
        }
        let is_first = line.marks > 0;
        keys.extend(own(line));
        if is_first {
            break;
        }
    }
    let below = text[line_start..].split_once('\n').map_or("", |(_, below)| below);
    for line in below.lines().filter_map(Line::of) {
        if line.indent < column {
            break;
        }
        keys.extend(own(line));
    }
    keys
}

/// What stands before the cursor in its line: `key: {a: b, c: [`.
#[derive(Debug, Default)]
struct Flow {
    /// The keys and elements whose brackets are open.
    opened: Vec<String>,
    /// The key whose value comes next.
    key: Option<String>,
    /// The keys of the innermost braces.
    keys: Vec<String>,
}

impl Flow {
    fn read(text: &str) -> Self {
        let mut flow = Self::default();
        let (mut word, mut quote) = (String::new(), None);
        // Per open bracket: how many steps it added, and the keys of the mapping around it.
        let mut open: Vec<(usize, Vec<String>)> = Vec::new();
        let mut characters = text.chars().peekable();
        while let Some(c) = characters.next() {
            match (quote, c) {
                (Some(end), _) => {
                    if c == end {
                        quote = None;
                    } else {
                        word.push(c);
                    }
                }
                (None, '\'' | '"') => quote = Some(c),
                (None, ':') if characters.peek().is_none_or(|next| *next == ' ') => {
                    let key = std::mem::take(&mut word).trim().to_owned();
                    if !open.is_empty() {
                        flow.keys.push(key.clone());
                    }
                    flow.key = Some(key);
                }
                (None, '{' | '[') => {
                    let mut steps: Vec<String> = flow.key.take().into_iter().collect();
                    if c == '[' {
                        steps.push(ELEMENT.to_owned());
                    }
                    open.push((steps.len(), std::mem::take(&mut flow.keys)));
                    flow.opened.extend(steps);
                    word.clear();
                }
                (None, '}' | ']') => {
                    if let Some((steps, keys)) = open.pop() {
                        flow.opened.truncate(flow.opened.len().saturating_sub(steps));
                        flow.keys = keys;
                    }
                    flow.key = None;
                    word.clear();
                }
                (None, ',') if !open.is_empty() => {
                    flow.key = None;
                    word.clear();
                }
                (None, c) => word.push(c),
            }
        }
        flow
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
name: a
schema:
  id: {type: string, phi: name}
  visits:
    list:
      code: string
      date:
        type: date
checks:
  - name: x
    columns: [a, b]
  - name: y
";

    /// The place of `|`, as `path/of/keys` or `path=` for a value, and the keys beside it.
    fn at(text: &str) -> String {
        let offset = text.find('|').unwrap();
        let cursor = cursor_at(&text.replacen('|', "", 1), offset);
        let mark = if cursor.is_value { "=" } else { "" };
        format!("{}{mark} {}", cursor.path.join("/"), cursor.beside.join(","))
    }

    fn with(from: &str, to: &str) -> String {
        assert!(TEXT.contains(from), "{from}");
        at(&TEXT.replacen(from, to, 1))
    }

    #[test]
    fn tells_keys_and_values_in_blocks() {
        assert_eq!(with("name: a", "na|"), " schema,checks");
        assert_eq!(with("name: a", "name: |"), "name= schema,checks");
        assert_eq!(with("type: date", "ty|"), "schema/visits/list/date ");
        assert_eq!(with("type: date", "type: da|"), "schema/visits/list/date/type= ");
        assert_eq!(
            with("code: string", "code: string\n      |"),
            "schema/visits/list code,date"
        );
        assert_eq!(with("  - name: y", "  - |"), "checks/[] ");
        assert_eq!(with("columns: [a, b]", "co|"), "checks/[] name");
    }

    #[test]
    fn tells_keys_and_values_in_braces() {
        assert_eq!(with("phi: name", "p|"), "schema/id type");
        assert_eq!(with("phi: name", "phi: n|"), "schema/id/phi= type,phi");
        assert_eq!(with("[a, b]", "[a, |]"), "checks/[]/columns/[] ");
        assert_eq!(at("a: {b: {c: 1}, d|}"), "a b");
        assert_eq!(at("a: {b: \"x, y\", c: |"), "a/c= b,c");
    }
}

//! Looks into a JSON record for the values that tell its kind, and at nothing else of it.

use std::borrow::Cow;

use memchr::memmem::{self, Finder};

use super::cursor::{Bad, Cursor, Kind};

/// The paths at which to look.
#[derive(Debug, Default)]
pub(super) struct Looks {
    root: Look,
    count: usize,
}

#[derive(Debug, Default)]
struct Look {
    /// The index of the path that ends here.
    at: Option<usize>,
    /// Finds the key that leads here, as JSON has it. `None` of a key that may also be written with an escape of one
    /// letter, or one that is not ASCII.
    quoted: Option<Finder<'static>>,
    fields: Vec<(String, Look)>,
}

impl Looks {
    /// The index of a path, which is added if it is new.
    pub fn index(&mut self, path: &[String]) -> usize {
        let mut look = &mut self.root;
        for name in path {
            let found = look.fields.iter().position(|(known, _)| known == name);
            let position = found.unwrap_or_else(|| {
                look.fields.push((name.clone(), Look::behind(name)));
                look.fields.len() - 1
            });
            look = &mut look.fields[position].1;
        }
        let count = &mut self.count;
        *look.at.get_or_insert_with(|| {
            *count += 1;
            *count - 1
        })
    }

    /// The values at the paths, by their indexes. `None`: there is no value, or it is null, an object or a list. The
    /// look ends once all are found that the text can hold.
    pub fn values<'t>(&self, text: &'t str) -> Result<Vec<Option<Cow<'t, str>>>, Bad> {
        let mut seeing = Seeing {
            cursor: Cursor::new(text),
            values: vec![None; self.count],
            left: self.within(text),
        };
        if self.count > 0 {
            seeing.object(&self.root)?;
        }
        Ok(seeing.values)
    }

    /// How many paths to look for. Those whose first key is nowhere in the text are left out: a record that tells its kind
    /// by its first field is then not read a second time to its end. All, if the text has none of the keys: it may be no
    /// object.
    fn within(&self, text: &str) -> usize {
        if self.count < 2 {
            return self.count;
        }
        let mut escaped = None;
        let mut may_hold = |look: &Look| match &look.quoted {
            Some(key) => key.find(text.as_bytes()).is_some() || *escaped.get_or_insert_with(|| escapes_ascii(text)),
            None => true,
        };
        let looks = self.root.fields.iter().map(|(_, look)| look);
        let within = looks.filter(|look| may_hold(look)).map(Look::paths);
        match within.sum() {
            0 => self.count,
            paths => paths,
        }
    }
}

impl Look {
    fn behind(key: &str) -> Self {
        let is_plain = key
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && !b"\"\\/".contains(&byte));
        Self {
            quoted: is_plain.then(|| Finder::new(&format!("\"{key}\"")).into_owned()),
            ..Self::default()
        }
    }

    /// How many paths end here and below.
    fn paths(&self) -> usize {
        usize::from(self.at.is_some()) + self.fields.iter().map(|(_, look)| look.paths()).sum::<usize>()
    }
}

/// Whether a JSON text has an ASCII character as an escape of four digits, so that a key may not look like itself.
fn escapes_ascii(text: &str) -> bool {
    let mut escapes = memmem::find_iter(text.as_bytes(), br"\u00");
    escapes.any(|at| {
        text.as_bytes()
            .get(at + 4)
            .is_some_and(|digit| (b'0'..=b'7').contains(digit))
    })
}

struct Seeing<'t> {
    cursor: Cursor<'t>,
    values: Vec<Option<Cow<'t, str>>>,
    /// How many paths were not met yet.
    left: usize,
}

impl Seeing<'_> {
    /// Reads an object until all paths are met.
    fn object(&mut self, look: &Look) -> Result<(), Bad> {
        if self.cursor.kind()? != Kind::Object {
            return self.cursor.bad("the record is not an object");
        }
        self.cursor.enter()?;
        let mut first = true;
        while let Some(key) = self.cursor.next_key(first)? {
            first = false;
            match look.fields.iter().find(|(name, _)| *name == *key) {
                Some((_, inner)) => self.value(inner)?,
                None => self.cursor.skip_value()?,
            }
            if self.left == 0 {
                break;
            }
        }
        Ok(())
    }

    fn value(&mut self, look: &Look) -> Result<(), Bad> {
        let kind = self.cursor.kind()?;
        if kind == Kind::Object && !look.fields.is_empty() {
            return self.object(look);
        }
        let value = match kind {
            Kind::String => Some(self.cursor.string()?),
            Kind::Number => Some(Cow::Borrowed(self.cursor.number()?)),
            Kind::Bool => Some(Cow::Borrowed(if self.cursor.bool()? { "true" } else { "false" })),
            Kind::Null | Kind::Object | Kind::Array => {
                self.cursor.skip_value()?;
                None
            }
        };
        if let Some(at) = look.at
            && self.values[at].is_none()
        {
            self.values[at] = value;
            self.left -= 1;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(paths: &[&str], text: &str) -> Result<Vec<Option<String>>, String> {
        let mut looks = Looks::default();
        for path in paths {
            let path: Vec<String> = path.split('.').map(str::to_owned).collect();
            looks.index(&path);
        }
        let values = looks.values(text).map_err(|bad| bad.reason.into_owned())?;
        Ok(values.into_iter().map(|value| value.map(Cow::into_owned)).collect())
    }

    #[test]
    fn values_are_found_through_objects_and_nothing_after_them_is_read() {
        let some = |text: &str| Some(text.to_owned());
        let text = r#"{"x":[{"t":"no"}],"m":{"s":"a\u0062","n":1.50},"t":true,"#;
        assert_eq!(
            seen(&["t", "m.s", "m.n"], text).unwrap(),
            [some("true"), some("ab"), some("1.50")]
        );
        assert_eq!(seen(&["t"], r#"{"m":{"t":"no"},"t":null}"#).unwrap(), [None]);
        assert_eq!(seen(&["m.t"], r#"{"m":"t"}"#).unwrap(), [None]);
        assert_eq!(seen(&["m", "m.t"], r#"{"m":{"t":"a"}}"#).unwrap(), [None, some("a")]);
        assert_eq!(seen(&[], "no JSON").unwrap(), []);
        assert_eq!(seen(&["t"], "[1]").unwrap_err(), "the record is not an object");
        let short = r#"{"t":true,"x":"\u00e9","#;
        assert_eq!(
            seen(&["t", "u"], short).unwrap(),
            [some("true"), None],
            "`u` is nowhere in the text"
        );
        let cut = r#"{"t":true,"x":{"u":1},"#;
        assert!(seen(&["t", "u"], cut).is_err(), "the text ends before `u` is found");
        for key in [r#""u""#, r#""\u0075""#] {
            let late = format!(r#"{{"t":1,"x":"\u00e9",{key}:{{"v":"a"}}}}"#);
            assert_eq!(seen(&["t", "u.v"], &late).unwrap(), [some("1"), some("a")], "{key}");
        }
        assert_eq!(
            seen(&["t", "é"], r#"{"t":1,"\u00e9":2}"#).unwrap(),
            [some("1"), some("2")]
        );
        assert_eq!(
            seen(&["t", "a/b"], r#"{"t":1,"a\/b":2}"#).unwrap(),
            [some("1"), some("2")]
        );
        assert!(seen(&["t", "u"], "[1]").is_err(), "no object, and none of the keys");
    }
}

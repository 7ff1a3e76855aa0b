//! Looks into a JSON record for the values that tell its kind, and at nothing else of it.

use std::borrow::Cow;

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
    fields: Vec<(String, Look)>,
}

impl Looks {
    /// The index of a path, which is added if it is new.
    pub fn index(&mut self, path: &[String]) -> usize {
        let mut look = &mut self.root;
        for name in path {
            let found = look.fields.iter().position(|(known, _)| known == name);
            let position = found.unwrap_or_else(|| {
                look.fields.push((name.clone(), Look::default()));
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
    /// look ends once all are found.
    pub fn values<'t>(&self, text: &'t str) -> Result<Vec<Option<Cow<'t, str>>>, Bad> {
        let mut seeing = Seeing {
            cursor: Cursor::new(text),
            values: vec![None; self.count],
            left: self.count,
        };
        if self.count > 0 {
            seeing.object(&self.root)?;
        }
        Ok(seeing.values)
    }
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
        assert!(seen(&["t", "u"], text).is_err(), "the text ends before `u` is found");
    }
}

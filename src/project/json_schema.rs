//! JSON Schemas of the YAML files, for editors. They are rendered from the declarations that the readers check keys
//! against, in draft 7, which yaml-language-server knows best.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use super::keys::{Group, KeySpec, Keys, NameOf, Names, Shape};
use super::names::{MAX_ENTITY, MAX_IDENTIFIER};
use super::{contract, field_keys, kinds, source, test_keys};
use crate::error::{Error, Result};
use crate::workspace;

/// A kind of YAML file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum YamlKind {
    /// `pipeline.yaml`
    Project,
    /// `pipelines/<name>.yaml`
    Source,
    /// `sql/<source>/tests/<name>.yaml`
    Tests,
    /// A file of fields that schemas share by `use`
    Fields,
    /// A file of kinds that sources share by `use`
    Kinds,
}

impl YamlKind {
    pub const ALL: [Self; 5] = [Self::Project, Self::Source, Self::Tests, Self::Fields, Self::Kinds];

    pub fn name(self) -> &'static str {
        match self {
            Self::Project => "project",
            Self::Source => "source",
            Self::Tests => "tests",
            Self::Fields => "fields",
            Self::Kinds => "kinds",
        }
    }

    /// The path of the schema's file in a project.
    pub fn path(self) -> String {
        format!("{SCHEMAS_FOLDER}/{}.json", self.name())
    }

    /// The JSON Schema of such a file.
    pub fn schema(self) -> Value {
        let (title, shape) = match self {
            Self::Project => ("pipeline.yaml: the tables that all sources share", &contract::SHAPE),
            Self::Source => ("pipelines/<name>.yaml: a source", &source::SHAPE),
            Self::Tests => ("sql/<source>/tests/<name>.yaml: test cases", &test_keys::SHAPE),
            Self::Fields => ("<name>.yaml: fields that schemas share by `use`", &field_keys::SHARED),
            Self::Kinds => ("<name>.yaml: kinds that sources share by `use`", &kinds::SHARED),
        };
        let mut renderer = Renderer::default();
        let mut schema = renderer.shape(shape, false);
        schema["$schema"] = json!("http://json-schema.org/draft-07/schema#");
        schema["title"] = json!(title);
        if !renderer.shared.is_empty() {
            schema["definitions"] = Value::Object(renderer.shared);
        }
        schema
    }
}

/// The text of one schema, or of all in one object by their names.
pub fn schema_text(kind: Option<YamlKind>) -> String {
    let all = || YamlKind::ALL.iter().map(|kind| (kind.name().to_owned(), kind.schema()));
    let value = kind.map_or_else(|| Value::Object(all().collect()), YamlKind::schema);
    format!("{value:#}")
}

/// Writes schemas into a folder, over older ones. Returns the paths of the files.
///
/// # Errors
/// A folder that can't be written.
pub fn write_schemas(folder: &Path, kinds: &[YamlKind]) -> Result<Vec<PathBuf>> {
    let failed = |error| {
        Error::project(format!("the schemas can't be written into {}", folder.display()))
            .cause(error)
            .hint("name a folder that you may write to: --into DIR")
    };
    if folder.is_relative() {
        workspace::refuse_to_leave(Path::new("."), &folder.join("-"))?;
    }
    fs::create_dir_all(folder).map_err(failed)?;
    let mut written = Vec::new();
    for kind in kinds {
        let path = folder.join(format!("{}.json", kind.name()));
        workspace::replace(&path, &(schema_text(Some(*kind)) + "\n")).map_err(failed)?;
        written.push(path);
    }
    Ok(written)
}

/// The comment by which a YAML file of the project names its schema, with its line end. Empty if the project has no
/// such schema: an editor would report one that it can't find. `file` is relative to the project.
pub fn schema_comment(root: &Path, file: &Path, kind: YamlKind) -> String {
    if !root.join(kind.path()).is_file() {
        return String::new();
    }
    let up = "../".repeat(file.components().count().saturating_sub(1));
    format!("# yaml-language-server: $schema={up}{}\n", kind.path())
}

/// The folder of a project that holds the schemas.
const SCHEMAS_FOLDER: &str = "schemas";

/// `${` in a value: what comes out of the variable is not known here.
const VARIABLE: &str = r"\$\{";

#[derive(Default)]
struct Renderer {
    /// The shapes that have a name.
    shared: Map<String, Value>,
}

impl Renderer {
    /// `variables`: whether `${env:NAME}` may stand in the value.
    fn shape(&mut self, shape: &Shape, variables: bool) -> Value {
        match shape {
            Shape::Text => json!({"type": "string"}),
            Shape::Texts(least) => json!({"type": "array", "items": {"type": "string"}, "minItems": least}),
            Shape::Scalar => json!({"type": ["string", "number", "boolean"]}),
            Shape::Setting => json!({"type": ["string", "boolean"]}),
            Shape::Scalars(least) => {
                json!({"type": "array", "items": {"type": ["string", "number", "boolean"]}, "minItems": least})
            }
            // YAML reads 20230502 as a number.
            Shape::Date => json!({"type": ["string", "integer"], "pattern": "^[0-9]{4}-?[0-9]{1,2}-?[0-9]{1,2}$"}),
            Shape::Whole(least) => {
                json!({"type": ["integer", "string"], "minimum": least, "pattern": r"^\+?[0-9_]+$"})
            }
            Shape::Percent => json!({"type": "string", "pattern": PERCENT}),
            Shape::Share => {
                json!({"type": ["integer", "string"], "minimum": 0, "pattern": format!(r"{PERCENT}|^\+?[0-9_]+$")})
            }
            Shape::Flag(default) => or_variable(json!({"type": "boolean"}), variables, json!(default)),
            Shape::Choice(names) => {
                let default = names().first().map_or(Value::Null, |first| json!(first));
                or_variable(choice(*names), variables, default)
            }
            Shape::AnyCase(names) => {
                let default = names().first().map_or(Value::Null, |first| json!(first));
                let either = json!({"anyOf": [choice(*names), {"type": "string", "pattern": any_case(&names())}]});
                or_variable(either, variables, default)
            }
            Shape::OneOf(names) => choice(*names),
            Shape::Type(names, with_numbers) => {
                let plain: Vec<&str> = names.iter().filter(|name| !name.contains('(')).copied().collect();
                let numbers = format!(r"^({})\([-+0-9, ]*\)$", with_numbers.join("|"));
                json!({"anyOf": [{"enum": plain}, {"type": "string", "pattern": numbers}]})
            }
            Shape::Options(keys) => self.options(keys, variables),
            Shape::Named(names, least, value) => {
                let mut schema = json!({"type": "object", "additionalProperties": self.shape(value, variables), "minProperties": least});
                if let Some(names) = name_rule(*names) {
                    schema["propertyNames"] = names;
                }
                schema
            }
            Shape::List(least, element) => {
                json!({"type": "array", "items": self.shape(element, variables), "minItems": least})
            }
            Shape::Any(shapes) => {
                let shapes: Vec<Value> = shapes.iter().map(|shape| self.shape(shape, variables)).collect();
                json!({"anyOf": shapes})
            }
            Shape::Mapping => json!({"type": "object"}),
            Shape::Free => json!({}),
            Shape::Sharing { each, over } => self.sharing(each, over, variables),
            Shape::Over(over) => {
                let over = self.or_null(over, variables);
                // A field may be called `use`, too.
                let either = json!({"anyOf": [shared_files(), over.clone()]});
                json!({"type": "object", "properties": {"use": either}, "additionalProperties": over})
            }
            Shape::Shared(name, shape) => {
                if !self.shared.contains_key(*name) {
                    // The shape may hold itself.
                    self.shared.insert((*name).to_owned(), Value::Null);
                    let schema = self.shape(shape(), variables);
                    self.shared.insert((*name).to_owned(), schema);
                }
                json!({"$ref": format!("#/definitions/{name}")})
            }
            Shape::Variables(shape) => self.shape(shape, true),
        }
    }

    /// Fields or kinds, or files that share them with others laid over them.
    fn sharing(&mut self, each: &Shape, over: &Shape, variables: bool) -> Value {
        let (each, over) = (self.shape(each, variables), self.or_null(over, variables));
        json!({"anyOf": [
            {"type": "object", "additionalProperties": each, "minProperties": 1},
            {
                "type": "object",
                "properties": {"use": shared_files()},
                "required": ["use"],
                "additionalProperties": over,
            },
        ]})
    }

    fn or_null(&mut self, shape: &Shape, variables: bool) -> Value {
        json!({"anyOf": [self.shape(shape, variables), {"type": "null"}]})
    }

    fn options(&mut self, keys: &Keys, variables: bool) -> Value {
        let described = |renderer: &mut Self, key: &KeySpec| {
            let mut schema = renderer.shape(&key.shape, variables);
            if schema.get("$ref").is_some() {
                // Draft 7 takes nothing beside a reference.
                schema = json!({"allOf": [schema]});
            }
            schema["description"] = json!(key.meaning);
            (key.name.to_owned(), schema)
        };
        let properties: Map<String, Value> = keys.all().map(|key| described(self, key)).collect();
        let mut schema = json!({"type": "object", "properties": properties, "additionalProperties": false});
        let required: Vec<&str> = keys.all().filter(|key| key.required).map(|key| key.name).collect();
        if !required.is_empty() {
            schema["required"] = json!(required);
        }
        let each = |keys: &[&str]| -> Vec<Value> { keys.iter().map(|key| json!({"required": [key]})).collect() };
        match keys.group {
            Group::None => {}
            Group::One(keys) => schema["oneOf"] = json!(each(keys)),
            Group::Some(keys) => schema["anyOf"] = json!(each(keys)),
            Group::Together { all, with } => {
                let dependencies = all.iter().chain(with).map(|key| ((*key).to_owned(), json!(all)));
                schema["dependencies"] = Value::Object(dependencies.collect());
            }
            Group::Apart(key, others) => schema["dependencies"] = json!({key: {"not": {"anyOf": each(others)}}}),
        }
        schema
    }
}

/// The value of `use`.
fn shared_files() -> Value {
    let file = json!({"type": "string", "pattern": r"\.ya?ml$"});
    json!({
        "anyOf": [file, {"type": "array", "items": file, "minItems": 1}],
        "description": "A YAML file that holds what is shared, from the project's folder, or several.",
    })
}

const PERCENT: &str = "^[+]?[0-9.]+([eE][-+]?[0-9]+)? *%$";

/// The choices. A bare `null` is YAML's null, and the name of a mask.
fn choice(names: Names) -> Value {
    let mut names: Vec<Value> = names().into_iter().map(Value::from).collect();
    if names.contains(&json!("null")) {
        names.push(Value::Null);
    }
    json!({"enum": names})
}

fn or_variable(schema: Value, variables: bool, default: Value) -> Value {
    let mut schema = if variables {
        json!({"anyOf": [schema, {"type": "string", "pattern": VARIABLE}]})
    } else {
        schema
    };
    schema["default"] = default;
    schema
}

/// A pattern of these names in small or capital letters. JSON Schema's patterns have no flag for that.
fn any_case(names: &[&str]) -> String {
    let letter = |c: char| match c {
        'a'..='z' => format!("[{c}{}]", c.to_ascii_uppercase()),
        c => c.to_string(),
    };
    let names: Vec<String> = names.iter().map(|name| name.chars().map(letter).collect()).collect();
    format!("^({})$", names.join("|"))
}

/// What the names of a mapping must be.
fn name_rule(names: NameOf) -> Option<Value> {
    match names {
        NameOf::Entity => Some(json!({"pattern": "^[a-z_][a-z0-9_]*$", "maxLength": MAX_ENTITY})),
        NameOf::Column => Some(json!({"pattern": "^[a-z][a-z0-9_]*$", "maxLength": MAX_IDENTIFIER})),
        NameOf::Other => None,
    }
}

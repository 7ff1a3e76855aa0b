//! Tells under which masks a source's columns are loaded, from the lineage of its transforms.

use std::collections::BTreeSet;

use crate::lineage::{self, Dependence, ProjectLineage, SourceField};
use crate::mask::ZIP3_LISTS;
use crate::model::reference::ANY_TYPE;
use crate::model::scalar_field::default_domain;
use crate::model::{
    ColumnMasks, FieldType, Kind, MaskKind, MaskedField, PhiClass, Profile, Project, ShiftBy, Source, subject,
};

/// The masks of every column that a source fills, by entity and column. Where the lineage of a column is not known, all
/// fields of the source count.
pub(super) fn column_masks(
    project: &Project,
    source: &Source,
    lineage: &ProjectLineage,
    key_id: Option<&str>,
) -> Vec<ColumnMasks> {
    let fields = masked_fields(project, source, key_id);
    let entities = source
        .transforms
        .iter()
        .filter_map(|one| project.entity(&one.entity).ok());
    let columns = entities.flat_map(|entity| entity.columns.iter().map(move |column| (entity, column)));
    let masks = columns.map(|(entity, column)| {
        let known = lineage
            .of(&entity.name, &column.name)
            .find(|one| one.source == source.name);
        let gives = |field: &&MaskedField| {
            known.is_none_or(|one| {
                let mut direct = one
                    .origins
                    .iter()
                    .filter(|origin| origin.dependence == Dependence::Direct);
                direct.any(|origin| origin.path == field.path)
            })
        };
        let mut fields: Vec<MaskedField> = fields.iter().filter(gives).cloned().collect();
        fields.sort();
        ColumnMasks {
            entity: entity.name.clone(),
            column: column.name.clone(),
            fields,
            batch_date: known.map(lineage::Lineage::tells_date),
        }
    });
    masks.collect()
}

/// All scalar fields of a source, as they are masked.
pub(super) fn masked_fields(project: &Project, source: &Source, key_id: Option<&str>) -> Vec<MaskedField> {
    let of_kind = |kind| {
        let fields = lineage::kind_fields(source, kind);
        let masked = move |field: &SourceField| masked_field(project, source, kind, field, key_id);
        fields.iter().map(masked).collect::<Vec<_>>()
    };
    source.kinds.iter().flat_map(of_kind).collect()
}

fn masked_field(
    project: &Project,
    source: &Source,
    kind: &Kind,
    field: &SourceField,
    key_id: Option<&str>,
) -> MaskedField {
    let mask = field.mask.unwrap_or(MaskKind::Keep);
    let (options, domain) = match mask {
        mask if mask.has_domain() => (None, field.domain.clone()),
        // All dates of a subject move alike, so the subject's domain decides.
        MaskKind::DateShift => {
            let weeks = (source.shift_by == ShiftBy::Weeks).then(|| "by weeks".to_owned());
            (weeks, subject_domain(kind))
        }
        MaskKind::Zip3 => (Some(format!("lists {ZIP3_LISTS}")), None),
        MaskKind::Year | MaskKind::AgeCap if project.profile == Profile::SafeHarbor => {
            (Some("up to 90".to_owned()), None)
        }
        _ => (None, None),
    };
    let class = field.class.filter(|class| *class != PhiClass::None);
    MaskedField {
        path: field.path.clone(),
        class: class.map(|class| class.name().to_owned()),
        mask: mask.name().to_owned(),
        options,
        domain,
        key: key_id.filter(|_| mask.is_keyed()).map(str::to_owned),
    }
}

/// The domains in a text of a mask's domain: one, or one for each type of what a reference leads to, as in
/// `Group: group, Patient: patient`. `None`: any type has a domain of its own.
pub(super) fn domains(shown: &str) -> Option<BTreeSet<&str>> {
    let each = shown.split(", ").map(|one| match one.split_once(": ") {
        Some(("others", _)) => None,
        Some((_, domain)) => Some(domain),
        None => Some(one).filter(|one| *one != ANY_TYPE),
    });
    each.collect()
}

/// The domain in which the subject of a kind shifts its dates.
pub(super) fn subject_domain(kind: &Kind) -> Option<String> {
    let path = kind.subject.as_deref()?;
    let field = subject::find(&kind.schema, path).ok()?.field;
    let domain = field.privacy.domain.as_deref();
    Some(match &field.field_type {
        FieldType::Reference(references) => references.shown_domains(domain),
        _ => domain.map_or_else(|| default_domain(&kind.label, path), str::to_owned),
    })
}

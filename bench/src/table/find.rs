//! A number in a JSON report, by a path that a reader can check against it.

use serde_json::Value;

/// Follows the path. In an object a segment is a key; in an array it is an index, or part of the `name` or `system` of an
/// element.
pub(super) fn number(report: &Value, path: &str) -> Option<f64> {
    let mut segments = path.split('/');
    segments.try_fold(report, step)?.as_f64()
}

/// What the report says itself of why the path's first segment was not measured.
pub(super) fn missing<'a>(report: &'a Value, path: &str) -> Option<&'a str> {
    step(report, path.split('/').next()?)?.get("missing")?.as_str()
}

fn step<'a>(value: &'a Value, segment: &str) -> Option<&'a Value> {
    match value {
        Value::Object(object) => object.get(segment),
        Value::Array(array) => match segment.parse::<usize>() {
            Ok(index) => array.get(index),
            Err(_) => array.iter().find(|element| {
                let mut names =
                    ["name", "system"].into_iter().filter_map(|key| element.get(key)?.as_str());
                names.any(|it| it.contains(segment))
            }),
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn paths_go_by_key_index_and_name() {
        let report =
            json!({"steps": [{"name": "app:rate=2", "phases": [{"p50": 1.5}, {"p50": 2}]}]});
        assert_eq!(number(&report, "steps/app/phases/0/p50"), Some(1.5));
        assert_eq!(number(&report, "steps/0/phases/1/p50"), Some(2.0));
        let compared = json!([{"system": "nats", "rounds": [{"messages_per_s": 3}]}]);
        assert_eq!(number(&compared, "nats/rounds/0/messages_per_s"), Some(3.0));
        let absent = json!([{"system": "nats", "missing": "it is not installed"}]);
        assert_eq!(missing(&absent, "nats/rounds/0"), Some("it is not installed"));
        assert_eq!(missing(&report, "steps/app/phases"), None);
        for nowhere in ["steps/topic/phases/0/p50", "steps/app/phases/2/p50", "steps/app/name", ""]
        {
            assert_eq!(number(&report, nowhere), None, "{nowhere}");
        }
    }
}

//! Conditional requests and ranges (RFC 9110, 13 and 14), for what never changes under its name.
use std::{ops::Range, time::SystemTime};

use axum::http::{HeaderMap, HeaderName, Method, header};
use headers::{
    ETag, Header, HeaderMapExt as _, IfMatch, IfModifiedSince, IfNoneMatch, IfRange, IfUnmodifiedSince,
    LastModified,
};

/// What a request is to be answered with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// All of it.
    Whole,
    /// These bytes.
    Part(Range<u64>),
    /// The sender has it already.
    NotModified,
    /// It is not what the sender expects.
    Failed,
    /// It has no such bytes.
    Unsatisfiable,
}

/// What a header says; one that is there and says nothing is an error.
fn said<H: Header>(headers: &HeaderMap) -> Option<Result<H, headers::Error>> {
    headers.typed_try_get().transpose()
}

/// Weighs the conditions of a request in their order, then its range.
pub(super) fn weigh(
    method: &Method,
    headers: &HeaderMap,
    tag: &ETag,
    modified: SystemTime,
    length: u64,
) -> Answer {
    let holds = match said::<IfMatch>(headers) {
        Some(wanted) => wanted.is_ok_and(|wanted| wanted.precondition_passes(tag)),
        None => said::<IfUnmodifiedSince>(headers)
            .and_then(Result::ok)
            .is_none_or(|since| since.precondition_passes(modified)),
    };
    if !holds {
        return Answer::Failed;
    }
    let is_new = match said::<IfNoneMatch>(headers) {
        Some(known) => known.map_or(true, |known| known.precondition_passes(tag)),
        None => said::<IfModifiedSince>(headers)
            .and_then(Result::ok)
            .is_none_or(|since| since.is_modified(modified)),
    };
    if !is_new {
        return Answer::NotModified;
    }
    let is_same = said::<IfRange>(headers).is_none_or(|wanted| {
        let last = LastModified::from(modified);
        wanted.is_ok_and(|wanted| !wanted.is_modified(Some(tag), Some(&last)))
    });
    if method != Method::GET || !is_same {
        return Answer::Whole;
    }
    range(headers, length)
}

const RANGE: HeaderName = header::RANGE;

/// The one range that is asked for. Several, and what is no range of bytes, are answered with all.
fn range(headers: &HeaderMap, length: u64) -> Answer {
    let mut all = headers.get_all(RANGE).iter();
    let (Some(value), None) = (all.next(), all.next()) else {
        return Answer::Whole;
    };
    let Some((first, last)) = value.to_str().ok().and_then(ends) else {
        return Answer::Whole;
    };
    let range = match (first, last) {
        (Some(first), last) => {
            let last = last.unwrap_or(u64::MAX);
            if last < first {
                return Answer::Whole;
            }
            first..length.min(last.saturating_add(1))
        }
        (None, Some(suffix)) => length.saturating_sub(suffix)..length,
        (None, None) => return Answer::Whole,
    };
    if range.is_empty() {
        Answer::Unsatisfiable
    } else {
        Answer::Part(range)
    }
}

/// First and last byte of `bytes=first-last`, where they are given.
fn ends(range: &str) -> Option<(Option<u64>, Option<u64>)> {
    let (unit, ends) = range.split_once('=')?;
    let (first, last) = ends.trim().split_once('-')?;
    let number = |text: &str| match text {
        "" => Some(None),
        // More than there can be is as good as the most.
        _ if text.bytes().all(|byte| byte.is_ascii_digit()) => Some(Some(text.parse().unwrap_or(u64::MAX))),
        _ => None,
    };
    unit.eq_ignore_ascii_case("bytes")
        .then_some((number(first)?, number(last)?))
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    const LENGTH: u64 = 1000;

    fn asked_by(method: &Method, lines: &[(HeaderName, &str)]) -> Answer {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(name, value.parse().unwrap());
        }
        let tag: ETag = "\"right\"".parse().unwrap();
        // Sun, 06 Nov 1994 08:49:37 GMT, and a bit: what has less than seconds is not on the wire.
        let modified = UNIX_EPOCH + Duration::from_millis(784_111_777_400);
        weigh(method, &headers, &tag, modified, LENGTH)
    }

    fn asked(lines: &[(HeaderName, &str)]) -> Answer {
        asked_by(&Method::GET, lines)
    }

    #[test]
    fn ranges_are_cut_to_what_there_is() {
        for (range, answer) in [
            ("bytes=0-0", Answer::Part(0..1)),
            ("bytes=0-999", Answer::Part(0..1000)),
            ("bytes=0-1000", Answer::Part(0..1000)),
            ("Bytes=999-", Answer::Part(999..1000)),
            ("bytes=500-99999999999999999999999", Answer::Part(500..1000)),
            ("bytes=-1", Answer::Part(999..1000)),
            ("bytes=-1000", Answer::Part(0..1000)),
            ("bytes=-1001", Answer::Part(0..1000)),
            ("bytes=1000-", Answer::Unsatisfiable),
            ("bytes=1000-1001", Answer::Unsatisfiable),
            ("bytes=99999999999999999999999-", Answer::Unsatisfiable),
            ("bytes=-0", Answer::Unsatisfiable),
            // What is no range is no reason to answer nothing.
            ("bytes=5-4", Answer::Whole),
            ("bytes=-", Answer::Whole),
            ("bytes=", Answer::Whole),
            ("bytes=a-b", Answer::Whole),
            ("bytes=+1-2", Answer::Whole),
            ("bytes=0-1,5-6", Answer::Whole),
            ("seconds=0-1", Answer::Whole),
        ] {
            assert_eq!(asked(&[(RANGE, range)]), answer, "{range}");
        }
        assert_eq!(asked(&[]), Answer::Whole);
        assert_eq!(
            asked(&[(RANGE, "bytes=0-1"), (RANGE, "bytes=0-1")]),
            Answer::Whole
        );
        assert_eq!(asked_by(&Method::HEAD, &[(RANGE, "bytes=0-1")]), Answer::Whole);
    }

    #[test]
    fn a_range_is_given_of_what_the_sender_knows() {
        let part = Answer::Part(0..2);
        for (known, answer) in [
            ("\"right\"", &part),
            ("\"wrong\"", &Answer::Whole),
            ("W/\"right\"", &Answer::Whole),
            ("Sun, 06 Nov 1994 08:49:37 GMT", &part),
            ("Sun, 06 Nov 1994 08:49:36 GMT", &Answer::Whole),
            ("nonsense", &Answer::Whole),
        ] {
            let found = asked(&[(header::IF_RANGE, known), (RANGE, "bytes=0-1")]);
            assert_eq!(&found, answer, "{known}");
        }
    }

    #[test]
    fn conditions_are_weighed_in_their_order() {
        let (before, at, after) = (
            "Sun, 06 Nov 1994 08:49:36 GMT",
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 08:49:38 GMT",
        );
        for (lines, answer) in [
            (vec![(header::IF_NONE_MATCH, "\"right\"")], Answer::NotModified),
            (vec![(header::IF_NONE_MATCH, "W/\"right\"")], Answer::NotModified),
            (
                vec![(header::IF_NONE_MATCH, "\"a\", \"right\"")],
                Answer::NotModified,
            ),
            (vec![(header::IF_NONE_MATCH, "*")], Answer::NotModified),
            (vec![(header::IF_NONE_MATCH, "\"wrong\"")], Answer::Whole),
            (vec![(header::IF_MATCH, "\"right\"")], Answer::Whole),
            (vec![(header::IF_MATCH, "\"a\", \"right\"")], Answer::Whole),
            (vec![(header::IF_MATCH, "*")], Answer::Whole),
            (vec![(header::IF_MATCH, "W/\"right\"")], Answer::Failed),
            (vec![(header::IF_MATCH, "\"wrong\"")], Answer::Failed),
            (vec![(header::IF_MATCH, "right")], Answer::Failed),
            (vec![(header::IF_MODIFIED_SINCE, before)], Answer::Whole),
            (vec![(header::IF_MODIFIED_SINCE, at)], Answer::NotModified),
            (vec![(header::IF_MODIFIED_SINCE, after)], Answer::NotModified),
            (vec![(header::IF_MODIFIED_SINCE, "yesterday")], Answer::Whole),
            (vec![(header::IF_UNMODIFIED_SINCE, before)], Answer::Failed),
            (vec![(header::IF_UNMODIFIED_SINCE, at)], Answer::Whole),
            // Tags count, and times only without them.
            (
                vec![
                    (header::IF_NONE_MATCH, "\"wrong\""),
                    (header::IF_MODIFIED_SINCE, after),
                ],
                Answer::Whole,
            ),
            (
                vec![
                    (header::IF_MATCH, "\"right\""),
                    (header::IF_UNMODIFIED_SINCE, before),
                ],
                Answer::Whole,
            ),
            (
                vec![
                    (header::IF_MATCH, "\"wrong\""),
                    (header::IF_NONE_MATCH, "\"right\""),
                ],
                Answer::Failed,
            ),
            (
                vec![(header::IF_NONE_MATCH, "\"right\""), (RANGE, "bytes=0-1")],
                Answer::NotModified,
            ),
        ] {
            assert_eq!(asked(&lines), answer, "{lines:?}");
        }
    }
}

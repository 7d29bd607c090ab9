"""G13: what hides secrets."""

import pytest

from derivtrio.redaction import masked, masked_text, shown_url


def test_g13_secret_fields_are_masked() -> None:
    request = {"authorize": "s3cret", "tokens": ["a", "b"], "passthrough": {"n": 1}}
    assert masked(request) == {
        "authorize": "<not shown>",
        "tokens": "<not shown>",
        "passthrough": {"n": 1},
    }
    assert masked({"api_token": 1, "ping": 1}) == {"api_token": 1, "ping": 1}


@pytest.mark.parametrize(
    "text",
    [
        '{"authorize":"s3cret"}',
        '{ "authorize" : "s3cr\\"et" , "req_id": 1}',
        '{"tokens":["s3cret","s3cret"],"token":"s3cret"}',
        '{"api_token":{"tokens":[{"token":"s3cret"}]}}',
    ],
)
def test_g13_secrets_in_text_are_masked(text: str) -> None:
    assert "s3cr" not in masked_text(text)
    assert masked_text('{"tick":{"quote":1}}') == '{"tick":{"quote":1}}'


def test_g13_urls_are_shown_without_their_secrets() -> None:
    shown = shown_url("wss://user:s3cret@example.org/ws/demo?otp=s3cret")
    assert shown == "wss://example.org/ws/demo"

"""The answer to the handshake."""

from derivtrio.connection.handshake import Answer


def test_an_interim_answer_is_not_the_answer() -> None:
    answer = Answer()
    answer.feed(b"HTTP/1.1 103 Early Hints\r\nlink: </>\r\n\r\nHTTP/1.1 101 Switching")
    assert (answer.status, answer.refusal) == (None, None)
    answer.feed(b" Protocols\r\nupgrade: websocket\r\n\r\nframes")
    assert (answer.status, answer.refusal, answer.rest) == (101, None, b"frames")
    assert answer.head.startswith(b"HTTP/1.1 101")


def test_a_refusals_body_ends_where_it_says() -> None:
    answer = Answer()
    answer.feed(b"HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nbu")
    assert not answer.finished
    answer.feed(b"sy and more")
    assert answer.finished
    assert answer.refusal is not None
    assert answer.refusal.body == b"busy"

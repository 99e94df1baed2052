"""Makes each allocation of a request to the fake server fail, one after the other."""
import http.client


def outcome(test, ask, word=b""):
    """A status, 200 only for an answer with this word in it; "closed" when there is no whole answer."""
    try:
        answer = ask()
    except (OSError, http.client.HTTPException):
        return "closed"
    if answer.headers["Content-Type"] == "text/event-stream":
        test.assertTrue(answer.status == 200 or b"event: error" in answer.body, answer.body)
    elif answer.status != 200 and answer.body:
        test.assertIn("code", answer.error)
    else:
        test.assertIn(word, answer.body)
    return answer.status


def each_allocation_fails(test, server, kind, ask, word, also=(), **headers):
    """From the middle of a request before ask() to its end; ask() has its usual status, 503, one of `also`, or no
    answer."""
    usual = ask().status
    statuses, n, n_quiet = set(), 0, 0
    while n_quiet < 40:  # some may fail unseen, such as that of what would be kept
        n += 1
        test.assertLess(n, 400, f"{kind}: something fails for ever: {statuses}")
        first = {"prompt": f"say={kind}{n};fail_alloc={n}"}
        outcomes = [outcome(test, lambda: server.post(first, **headers)), outcome(test, ask, word)]
        n_quiet = n_quiet + 1 if outcomes == [200, usual] else 0
        statuses.update(outcomes[1:])
        # It may still be to come; one request at most is hit.
        again = {"prompt": "say=fine;fail_alloc=0", "task": "ask", "cache": False}
        test.assertIn(200, [outcome(test, lambda: server.post(again, **headers)) for _ in range(2)])
    test.assertLessEqual(statuses, {usual, 503, "closed", *also}, kind)
    test.assertLessEqual({usual, 503}, statuses, kind)

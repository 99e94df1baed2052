"""Who may come in: tokens made by PyJWT, API keys, routes, rotation under load, limits."""
import base64
import hashlib
import hmac
import json
import os
import random
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import time
import unittest

from harness import FAKE, GLINT, PATIENCE_S, ROUTE, Background, Server, b64, png, read_all, wait_until

try:
    import jwt
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
except ImportError as missing:
    print(f"SKIPPED: {missing}; tools/setup test installs it")
    raise SystemExit(77) from None

SECRET = b"a secret of at least 32 bytes, yes"
PROMPT = {"prompt": "x"}


def b64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def private_pem(key):
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                             serialization.NoEncryption()).decode()


def public_pem(key):
    return key.public_key().public_bytes(serialization.Encoding.PEM,
                                         serialization.PublicFormat.SubjectPublicKeyInfo).decode()


def claims(**changes):
    """The claims of a good token, with changes; None takes one out."""
    now = int(time.time())
    out = {"iat": now, "exp": now + 600, "tenant": "acme", "scope": "infer", **changes}
    return {name: value for name, value in out.items() if value is not None}


def bearer(credential):
    return {"Authorization": f"Bearer {credential}"}


class Files:
    """A folder with files of keys."""

    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="glint-auth-")

    def write(self, name, content):
        """Replaces a file in one step, as an operator should."""
        path = os.path.join(self.dir, name)
        with open(path + ".new", "w", encoding="utf-8") as file:
            file.write(content if isinstance(content, str) else json.dumps(content, indent=1))
        os.replace(path + ".new", path)
        return path

    def hmac(self, *kids, name="jwt.json", secret=SECRET, **members):
        keys = [{"kid": kid, "alg": "HS256", "secret": b64url(secret + kid.encode())} for kid in kids]
        return self.write(name, {"keys": keys, **members})

    def remove(self):
        shutil.rmtree(self.dir)


def hmac_token(kid="k1", secret=SECRET, headers=None, **changes):
    return jwt.encode(claims(**changes), secret + kid.encode(), "HS256", headers={"kid": kid, **(headers or {})})


def mac_token(header, payload, secret=SECRET + b"k1"):
    """A token with a good MAC and whatever one likes in it: PyJWT refuses to make some of these."""
    text = f"{b64url(json.dumps(header).encode())}.{b64url(json.dumps(payload).encode())}"
    return f"{text}.{b64url(hmac.new(secret, text.encode(), 'sha256').digest())}"


def api_key(seed):
    key = "gk_" + b64url(hashlib.sha256(seed.encode()).digest())
    return key, hashlib.sha256(key.encode()).hexdigest()


class AuthTest(unittest.TestCase):
    def setUp(self):
        self.files = Files()
        self.addCleanup(self.files.remove)

    def start(self, *options, **kwargs):
        server = Server(*options, **kwargs)
        self.addCleanup(server.stop, signal.SIGKILL)
        return server

    def refused(self, answer, status=401, code="unauthenticated"):
        self.assertEqual((answer.status, answer.error["code"]), (status, code), answer.body)
        self.assertEqual(answer.headers["WWW-Authenticate"], "Bearer" if status == 401 else None)
        return answer

    def fails_to_start(self, words, *options):
        done = subprocess.run([FAKE, "serve", "--listen", "127.0.0.1:0", "--model", "fake", *options],
                              capture_output=True, text=True, timeout=PATIENCE_S)
        self.assertIn(done.returncode, (2, 3), done.stderr)
        self.assertRegex(done.stderr, words)
        self.assertEqual(done.stderr.count("\n"), 1, done.stderr)


class Tokens(AuthTest):
    def test_every_algorithm(self):
        keys = {"RS256": rsa.generate_private_key(65537, 2048), "ES256": ec.generate_private_key(ec.SECP256R1()),
                "EdDSA": ed25519.Ed25519PrivateKey.generate()}
        others = {"RS256": rsa.generate_private_key(65537, 2048), "ES256": ec.generate_private_key(ec.SECP256R1()),
                  "EdDSA": ed25519.Ed25519PrivateKey.generate()}
        entries = []
        for alg, key in keys.items():
            self.files.write(f"{alg}.pem", public_pem(key))
            entries.append({"kid": alg, "alg": alg, "pem": f"{alg}.pem"})
        server = self.start("--jwt-keys", self.files.write("keys.json", {"keys": entries}))
        for alg, key in keys.items():
            def post(signer=key, alg=alg, kid=alg):
                token = jwt.encode(claims(), signer, alg, headers={"kid": kid})
                return server.post(PROMPT, **bearer(token))

            self.assertEqual(post().status, 200)
            self.refused(post(others[alg]))
            for other in keys:
                if other != alg:
                    self.refused(post(keys[other], other, alg))
            # The classic: the public key's text as an HMAC secret.
            token = mac_token({"alg": "HS256", "kid": alg}, claims(), public_pem(key).encode())
            self.refused(server.post(PROMPT, **bearer(token)))
            self.refused(server.post(PROMPT, **bearer(token[:token.rindex(".") + 1])))
        none = jwt.encode(claims(), None, "none", headers={"kid": "RS256"})
        self.refused(server.post(PROMPT, **bearer(none)))
        # Which of three keys? It must say.
        self.refused(server.post(PROMPT, **bearer(jwt.encode(claims(), keys["ES256"], "ES256"))))

    def test_key_id(self):
        server = self.start("--jwt-keys", self.files.hmac("k1"))
        bare = jwt.encode(claims(), SECRET + b"k1", "HS256")
        self.assertEqual(server.post(PROMPT, **bearer(bare)).status, 200)
        self.assertEqual(server.post(PROMPT, **bearer(hmac_token())).status, 200)
        for kid in ("k2", "", "../k1", "k1\0", 1, None, ["k1"]):
            self.refused(server.post(PROMPT, **bearer(mac_token({"alg": "HS256", "kid": kid}, claims()))))

    def test_headers_that_ask_for_too_much(self):
        server = self.start("--jwt-keys", self.files.hmac("k1"))
        for name, value in (("jwk", {"kty": "oct", "k": "AAAA"}), ("jku", "http://127.0.0.1:1/"),
                            ("x5u", "http://127.0.0.1:1/"), ("x5c", ["AAAA"]), ("crit", ["exp"]), ("zip", "DEF"),
                            ("typ", "logout+jwt"), ("cty", "JWT")):
            self.refused(server.post(PROMPT, **bearer(hmac_token(headers={name: value}))))
        self.assertEqual(server.post(PROMPT, **bearer(hmac_token(headers={"typ": "at+jwt"}))).status, 200)

    def test_times(self):
        server = self.start("--jwt-keys", self.files.hmac("k1"), "--jwt-clock-skew-s", "30")
        now = int(time.time())

        def status(**changes):
            return server.post(PROMPT, **bearer(hmac_token(**changes))).status

        self.assertEqual(status(exp=now - 10), 200)  # within the skew
        self.assertEqual(status(exp=now + 0.5), 200)
        self.assertEqual(status(nbf=now + 20, iat=now + 20), 200)
        for changes in ({"exp": now - 31}, {"exp": now - 3600}, {"exp": None}, {"nbf": now + 60}, {"iat": now + 60}):
            self.assertEqual(status(**changes), 401, changes)
        for name, value in (("exp", "soon"), ("exp", None), ("exp", -1), ("exp", [1]), ("exp", 1e18), ("nbf", "x"),
                            ("nbf", None), ("iat", {})):
            token = mac_token({"alg": "HS256", "kid": "k1"}, {**claims(), name: value})
            self.refused(server.post(PROMPT, **bearer(token)))

    def test_expires_while_in_use(self):
        server = self.start("--jwt-keys", self.files.hmac("k1"), "--jwt-clock-skew-s", "0")
        token = hmac_token(exp=int(time.time()) + 3)
        self.assertEqual(server.post(PROMPT, **bearer(token)).status, 200)
        time.sleep(3.2)
        self.refused(server.post(PROMPT, **bearer(token)))

    def test_audience_and_issuer(self):
        server = self.start("--jwt-keys", self.files.hmac("k1"), "--jwt-audience", "glint", "--jwt-issuer",
                            "https://issuer.example")

        def status(**changes):
            return server.post(PROMPT, **bearer(hmac_token(**changes))).status

        good = {"aud": "glint", "iss": "https://issuer.example"}
        self.assertEqual(status(**good), 200)
        self.assertEqual(status(**{**good, "aud": ["other", "glint"]}), 200)
        for wrong in ({"aud": "glintx"}, {"aud": None}, {"aud": []}, {"aud": ["other"]}, {"aud": "Glint"},
                      {"iss": None}, {"iss": "https://issuer.example/"}, {"iss": "https://issuer.example.evil"}):
            self.assertEqual(status(**{**good, **wrong}), 401, wrong)

    def test_audience_nobody_configured(self):
        server = self.start("--jwt-keys", self.files.hmac("k1"))
        self.refused(server.post(PROMPT, **bearer(hmac_token(aud="glint"))))

    def test_tenant(self):
        server = self.start("--jwt-keys", self.files.hmac("k1"), "--jwt-tenant-claim", "https://a.example/org")

        def status(**changes):
            return server.post(PROMPT, **bearer(hmac_token(tenant=None, **changes))).status

        self.assertEqual(status(**{"https://a.example/org": "acme:eu-1"}), 200)
        for name in (None, "", "a b", "x" * 65, "a/b", "a\r\nb", "ä", 7, ["acme"]):
            self.assertEqual(status(**{"https://a.example/org": name}), 401, name)

    def test_answers_are_kept_for_their_tenant(self):
        server = self.start("--jwt-keys", self.files.hmac("k1"), "--answer-cache-mib", "1")

        def is_kept(**claimed):
            answer = server.post(PROMPT, **bearer(hmac_token(**claimed)))
            self.assertEqual(answer.status, 200, answer.body)
            return answer.json["usage"]["cached_tokens"] > 0

        self.assertEqual([is_kept(tenant="a"), is_kept(tenant="a")], [False, True])
        self.assertEqual([is_kept(tenant="b"), is_kept(tenant="b")], [False, True])
        self.assertTrue(is_kept(tenant="a"))

    def test_kept_answers_cost_no_megapixels(self):
        server = self.start("--limit-megapixels-per-s", "0.001", "--limit-megapixels-burst", "1",
                            "--answer-cache-mib", "1")
        fields = {"image": b64(png(1000, 1000)), "prompt": "x"}
        self.assertEqual([server.post(fields).status for _ in range(3)], [200, 200, 200])
        self.refused(server.post({**fields, "cache": False}), 429, "megapixels_limited")

    def test_tenant_of_a_key(self):
        key = {"kid": "k1", "alg": "HS256", "secret": b64url(SECRET + b"k1"), "tenant": "acme"}
        server = self.start("--jwt-keys", self.files.write("jwt.json", {"keys": [key]}))
        self.assertEqual(server.post(PROMPT, **bearer(hmac_token(tenant=None))).status, 200)
        self.assertEqual(server.post(PROMPT, **bearer(hmac_token(tenant="acme"))).status, 200)
        self.refused(server.post(PROMPT, **bearer(hmac_token(tenant="other"))))

    def test_scopes(self):
        server = self.start("--jwt-keys", self.files.hmac("k1"))

        def status(scope):
            return server.post(PROMPT, **bearer(hmac_token(scope=scope))).status

        for scope in ("infer", "metrics infer", "openid infer", ["infer"], ["a", "infer"]):
            self.assertEqual(status(scope), 200, scope)
        for scope in (None, "", "metrics", "Infer", "inference", "infer,metrics", [], ["infer metrics"]):
            self.assertEqual(status(scope), 403, scope)
        for scope in (1, {"infer": True}, [1]):
            self.assertEqual(status(scope), 401, scope)

    def test_size(self):
        server = self.start("--jwt-keys", self.files.hmac("k1"))
        self.assertEqual(server.post(PROMPT, **bearer(hmac_token(sub="s" * 255))).status, 200)
        self.refused(server.post(PROMPT, **bearer(hmac_token(sub="s" * 256))))
        self.assertEqual(server.post(PROMPT, **bearer(hmac_token(more="m" * 5000))).status, 200)
        # A line of 8 KiB does not hold a longer one.
        self.assertEqual(server.post(PROMPT, **bearer(hmac_token(more="m" * 7000))).status, 431)

    def test_mangled(self):
        """Every character of a good token changed, dropped, doubled: none gets in."""
        server = self.start("--jwt-keys", self.files.hmac("k1"), "--limit-failures-per-s", "0")
        token = hmac_token()
        connection = server.connect()
        rng = random.Random(1)
        body = json.dumps(PROMPT)
        for i in range(len(token)):
            for other in (token[:i] + rng.choice("ABYZabyz0189-_.=+/~ ") + token[i + 1:], token[:i] + token[i + 1:],
                          token[:i] + token[i] + token[i:]):
                if other == token:
                    continue
                connection.request("POST", ROUTE, body, {"Content-Type": "application/json", **bearer(other)})
                response = connection.getresponse()
                response.read()
                self.assertEqual(response.status, 401, other)
        connection.close()


class ApiKeys(AuthTest):
    def entry(self, name="web", seed="1", **changes):
        return {"id": name, "sha256": api_key(seed)[1], "tenant": "acme", "scopes": ["infer"], **changes}

    def test_both_headers(self):
        server = self.start("--api-keys", self.files.write("keys.json", {"keys": [self.entry(), self.entry("b", "2")]}))
        for seed in ("1", "2"):
            key = api_key(seed)[0]
            self.assertEqual(server.post(PROMPT, **bearer(key)).status, 200)
            self.assertEqual(server.post(PROMPT, Authorization="bearer " + key).status, 200)
            self.assertEqual(server.post(PROMPT, **{"X-API-Key": key}).status, 200)
            self.refused(server.post(PROMPT, **{"X-API-Key": key}, **bearer(key)))
            self.refused(server.post(PROMPT, Authorization=key))
            self.refused(server.post(PROMPT, Authorization="Basic " + key))
            self.refused(server.post(PROMPT, **bearer(key[:-1])))
            self.refused(server.post(PROMPT, **bearer(key + "A")))
        for wrong in (api_key("3")[0], "gk_", "", api_key("1")[1], "gk_" + api_key("1")[1][:43]):
            self.refused(server.post(PROMPT, **bearer(wrong)))
            if wrong:
                self.refused(server.post(PROMPT, **{"X-API-Key": wrong}))
        # One header twice: which one did a proxy look at?
        for name in ("Authorization: Bearer ", "X-API-Key: "):
            line = f"{name}{api_key('1')[0]}\r\n"
            out = server.raw((f"POST {ROUTE} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
                              f"Content-Length: 14\r\nConnection: close\r\n{line}{line}\r\n").encode()
                             + b'{"prompt":"x"}', half_close=False)
            self.assertIn(b" 401 ", out.split(b"\r\n")[0])

    def test_scope_and_expiry(self):
        soon = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 3))
        entries = [self.entry(expires=soon), self.entry("m", "2", scopes=["metrics"]), self.entry("n", "3", scopes=[])]
        server = self.start("--api-keys", self.files.write("keys.json", {"keys": entries}))
        self.assertEqual(server.post(PROMPT, **bearer(api_key("1")[0])).status, 200)
        self.refused(server.post(PROMPT, **bearer(api_key("2")[0])), 403, "forbidden")
        self.refused(server.post(PROMPT, **bearer(api_key("3")[0])), 403, "forbidden")
        time.sleep(3.2)
        self.refused(server.post(PROMPT, **bearer(api_key("1")[0])))

    def test_beside_tokens(self):
        server = self.start("--api-keys", self.files.write("keys.json", {"keys": [self.entry()]}),
                            "--jwt-keys", self.files.hmac("k1"))
        self.assertEqual(server.post(PROMPT, **bearer(api_key("1")[0])).status, 200)
        self.assertEqual(server.post(PROMPT, **bearer(hmac_token())).status, 200)
        self.refused(server.post(PROMPT, **{"X-API-Key": hmac_token()}))


class KeyFiles(AuthTest):
    """What a file may hold; the message names file and line."""

    def test_refused(self):
        good = {"kid": "a", "alg": "HS256", "secret": b64url(b"x" * 32)}
        self.files.write("small.pem", public_pem(rsa.generate_private_key(65537, 1024)))
        self.files.write("three.pem", public_pem(rsa.generate_private_key(3, 2048)))
        self.files.write("p384.pem", public_pem(ec.generate_private_key(ec.SECP384R1())))
        self.files.write("ec.pem", public_pem(ec.generate_private_key(ec.SECP256R1())))
        self.files.write("private.pem", private_pem(ec.generate_private_key(ec.SECP256R1())))
        for entry, words in (
                ({**good, "secret": b64url(b"x" * 31)}, "32 to 1024 bytes"), ({**good, "secret": ""}, "32 to 1024"),
                ({**good, "secret": b64url(b"x" * 32) + "="}, "base64url"), ({**good, "alg": "none"}, '"alg"'),
                ({**good, "alg": "HS512"}, '"alg"'), ({**good, "kid": "a b"}, '"kid"'), ({**good, "kid": ""}, '"kid"'),
                ({**good, "use": "sig"}, '"use"'), ({"kid": "a", "alg": "HS256"}, '"secret"'),
                ({**good, "pem": "ec.pem"}, "nothing else"), ({**good, "alg": "ES256"}, "nothing else"),
                ({"kid": "a", "alg": "RS256", "pem": "small.pem"}, "2048 to 8192 bits"),
                ({"kid": "a", "alg": "RS256", "pem": "three.pem"}, "exponent"),
                ({"kid": "a", "alg": "RS256", "pem": "ec.pem"}, "type RSA"),
                ({"kid": "a", "alg": "ES256", "pem": "p384.pem"}, "P-256"),
                ({"kid": "a", "alg": "ES256", "pem": "private.pem"}, "private key"),
                ({"kid": "a", "alg": "EdDSA", "pem": "ec.pem"}, "ED25519"),
                ({"kid": "a", "alg": "ES256", "pem": "nowhere.pem"}, "nowhere.pem"),
                ({"kid": "a", "alg": "ES256", "pem": "jwt.json"}, "PEM"),
                ({**good, "kid": "first"}, "twice"), ({"kid": "a", "alg": "ES256", "pem": "ec.pem"}, "one file"),
                (7, "object")):
            first = {**good, "kid": "first"} if words in ("twice", "one file") else None
            lines = ['{"keys": [', *([json.dumps(first) + ","] if first else []), json.dumps(entry), "]}"]
            path = self.files.write("jwt.json", "\n".join(lines))
            self.fails_to_start(rf"jwt\.json:{3 if first else 2}: .*{words}", "--jwt-keys", path)
        for text, words in (("{", "jwt.json:1: "), ("[]", "jwt.json:1: .*object"), ("\n{}", 'jwt.json:2: "keys" is missing'),
                            ('{\n"keys":{}}', "jwt.json:2: .*array"), ('{"keys":[],\n"more":1}', 'jwt.json:2: .*"more"'),
                            ('{"keys":[\n{"kid":"a",\n"alg":"x"}]}', 'jwt.json:3: "alg"'),
                            ('{"keys":[\n{"kid":"a",\n"alg":"HS256",\n"secret":""}]}', "jwt.json:4: .*32 to 1024"),
                            ('{"keys":[],"keys":[]}', "jwt.json:1: "),
                            ('{"keys":[],"tenants":{"a b":{}}}', "jwt.json:1: a tenant"),
                            ('{"keys":[],\n"tenants":{\n"a":{"requests_per_s":-1}}}', "jwt.json:3: "),
                            ('{"keys":[],"tenants":{"a":{\n"requests_burst":5}}}', "jwt.json:2: .*without")):
            self.fails_to_start(words, "--jwt-keys", self.files.write("jwt.json", text))
        self.fails_to_start("nowhere", "--jwt-keys", self.files.dir + "/nowhere.json")
        self.fails_to_start("--jwt-keys", "--jwt-audience", "x")

    def test_api_keys_refused(self):
        good = {"id": "a", "sha256": "0" * 64, "tenant": "t", "scopes": ["infer"]}
        for entry, words in (
                ({**good, "sha256": "0" * 63}, "64 of"), ({**good, "sha256": "A" * 64}, "64 of"),
                ({**good, "tenant": "a b"}, '"tenant"'), ({**good, "tenant": None}, '"tenant"'),
                ({**good, "scopes": ["root"]}, '"scopes"'), ({**good, "scopes": "infer"}, '"scopes"'),
                ({**good, "expires": "2027-02-31T00:00:00Z"}, '"expires"'), ({**good, "expires": 5}, '"expires"'),
                ({**good, "expires": "2027-02-01"}, '"expires"'), ({**good, "key": "gk_"}, '"key"')):
            path = self.files.write("keys.json", '{"keys":[\n' + json.dumps(entry) + "]}")
            self.fails_to_start(rf"keys\.json:2: .*{words}", "--api-keys", path)
        path = self.files.write("keys.json", {"keys": [good, {**good, "id": "b"}]})
        self.fails_to_start("twice", "--api-keys", path)
        limits = {"tenants": {"t": {"requests_per_s": 1}}}
        path = self.files.write("keys.json", {"keys": [good], **limits})
        self.fails_to_start("both files", "--api-keys", path, "--jwt-keys", self.files.hmac("a", **limits))

    def test_public_address_with_keys(self):
        server = self.start("--jwt-keys", self.files.hmac("k1"), listen="0.0.0.0:0", wait=False)
        server.host = "127.0.0.1"
        server.wait_ready()
        self.refused(server.post(PROMPT))


class Routes(AuthTest):
    def test_every_closed_route(self):
        listed = subprocess.run([FAKE, "serve", "--list-routes"], capture_output=True, text=True, check=True).stdout
        rows = [re.split(r"\s{2,}|(?<=^GET)\s+|(?<=^POST)\s+", line) for line in listed.splitlines()]
        self.assertGreaterEqual(len(rows), 4)
        is_open = {path for _, path, access in rows if access == "open"}
        # Whoever opens another route has to say so here.
        self.assertLessEqual(is_open, {"/", "/page/{file}", "/health", "/live", "/ready"})
        self.assertFalse([row for row in rows if row[2] not in ("open", "infer", "metrics", "any credential")])
        server = self.start("--jwt-keys", self.files.hmac("k1"), "--limit-failures-per-s", "0")
        methods = ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "PROPFIND", "GETX")
        for method, path, access in rows:
            path = path.replace("{model}", "fake").replace("{file}", "main.js")
            if access == "open":
                self.assertNotIn(server.request(method, path).status, (401, 403))
                continue
            for each in methods:
                answer = server.request(each, path)
                self.assertEqual(answer.status, 401, (each, path))
            if access != "any credential":
                for each in methods:
                    answer = server.request(each, path, headers=bearer(hmac_token(scope="nothing")))
                    self.assertEqual(answer.status, 403, (each, path))
            scope = hmac_token(scope="infer metrics")
            self.assertNotIn(server.request(method, path, headers=bearer(scope)).status, (401, 403, 404, 405))
        paths = ["//", "/page", "/page/", "/page/../v1/models", "/index.html", "/v1", "//v1/multimodal/inference", "/V1/multimodal/inference", "/v1/../health",
                 "/health/../v1/multimodal/inference", "/%2fv1/multimodal/inference", "/v1%2fmultimodal%2finference",
                 "/v1/multimodal/inference/", "/v1/multimodal/inference;x", "/v1/multimodal/inferenc%65", "/health/",
                 "/health;x", "/health%00", "/%68ealth", "/HEALTH", "/live/..", "/.", "/./health", "/ready%20",
                 "/invocations", "/metrics/", "/docs", "/debug/pprof", "/v1/models/../../health", "/..;/health",
                 "/health%2f..%2fv1", "/\\health", "*"]
        rng = random.Random(2)
        paths += ["/" + "".join(rng.choice("ahv1/.%2f;~") for _ in range(rng.randrange(1, 24))) for _ in range(300)]
        wrong = hmac_token(scope="nothing")
        for path in paths:
            method = rng.choice(methods)
            if path.split("?")[0] in is_open:
                continue
            raw = f"{method} {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
            status = server.raw(raw.encode() + b"\r\n", half_close=False).split()[1]
            self.assertIn(status, (b"401", b"400"), (method, path))
            status = server.raw(f"{raw}Authorization: Bearer {wrong}\r\n\r\n".encode(), half_close=False).split()[1]
            self.assertIn(status, (b"404", b"403", b"400", b"405"), (method, path))
        # A query changes nothing, and neither does an absolute target.
        self.refused(server.request("POST", ROUTE + "?/health"))
        self.refused(server.request("POST", "http://a.example" + ROUTE))
        self.assertEqual(server.get("/health").status, 200)

    def test_before_the_body(self):
        server = self.start("--jwt-keys", self.files.hmac("k1"))
        head = (f"POST {ROUTE} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 1000000\r\n"
                "Expect: 100-continue\r\n")
        for line, status in (("", b" 401 "), (f"Authorization: Bearer {hmac_token(scope='')}\r\n", b" 403 ")):
            with server.socket() as s:
                s.sendall(f"{head}{line}\r\n".encode())
                self.assertIn(status, read_all(s).split(b"\r\n")[0])
        with server.socket() as s:
            s.sendall(f"{head}Authorization: Bearer {hmac_token()}\r\n\r\n".encode())
            self.assertEqual(s.recv(100), b"HTTP/1.1 100 Continue\r\n\r\n")

    def test_refused_and_slow(self):
        """Whoever is refused learns that, however slowly the body comes."""
        server = self.start("--jwt-keys", self.files.hmac("k1"), "--body-timeout-ms", "300")
        with server.socket() as s:
            s.sendall(f"POST {ROUTE} HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n12345".encode())
            self.assertIn(b" 401 ", read_all(s).split(b"\r\n")[0])

    def test_no_oracle(self):
        """What was wrong is in the log and nowhere else; what was sent, not even there."""
        server = self.start("--jwt-keys", self.files.hmac("k1"))
        wrong = [hmac_token(exp=1), hmac_token(kid="k2"), hmac_token(secret=b"s" * 40), hmac_token(tenant=None),
                 hmac_token()[:-2], "nonsense", api_key("1")[0], hmac_token(aud="x")]
        answers = [server.post(PROMPT, **bearer(token), **{"X-Request-Id": "same"}) for token in wrong]
        self.assertEqual({answer.body for answer in answers}, {server.post(PROMPT, **{"X-Request-Id": "same"}).body})
        self.assertEqual({answer.status for answer in answers}, {401})

        def refusals():
            return [line for line in server.lines if " auth id=same " in line]

        wait_until(lambda: len(refusals()) == len(wrong), "the log")
        self.assertIn("key=k1 refused: it has expired", refusals()[0])
        self.assertIn("unknown key id", refusals()[1])
        self.assertIn("key=k1 refused: its signature is wrong", refusals()[2])
        log = "\n".join(server.lines)
        for token in wrong:
            self.assertNotIn(token, log)
            self.assertNotIn(token.split(".")[-1], log)

    def test_subject_forges_no_log_line(self):
        server = self.start("--jwt-keys", self.files.hmac("k1"))
        self.refused(server.post(PROMPT, **bearer(hmac_token(sub="a\r\n2026 info auth forged"))))
        self.assertFalse([line for line in server.lines if "forged" in line])


class Rotation(AuthTest):
    def test_under_load(self):
        """Keys come and go; who holds a key that was there throughout never notices."""
        path = self.files.hmac("always", "old")
        server = self.start("--jwt-keys", path, "--queue-max", "256", "--limit-failures-per-s", "0")
        stop, wrong, counts = threading.Event(), [], {"always": 0, "old": 0, "new": 0}

        def client(kid, allowed):
            connection = server.connect()
            token = hmac_token(kid)
            while not stop.is_set():
                connection.request("POST", ROUTE, json.dumps(PROMPT), {"Content-Type": "application/json",
                                                                        **bearer(token)})
                response = connection.getresponse()
                response.read()
                if response.status == 200:
                    counts[kid] += 1
                if response.status not in allowed:
                    wrong.append((kid, response.status))
            connection.close()

        threads = [threading.Thread(target=client, args=row) for row in
                   [("always", (200,))] * 4 + [("old", (200, 401)), ("new", (200, 401))]]
        for thread in threads:
            thread.start()
        kids = [("always", "old"), ("always", "new"), ("new", "always"), ("always", "old", "new")]
        for i in range(40):
            self.files.hmac(*kids[i % 4])
            server.process.send_signal(signal.SIGHUP)
            time.sleep(0.03)
        stop.set()
        for thread in threads:
            thread.join(PATIENCE_S)
        self.assertEqual(wrong, [])
        self.assertTrue(all(counts.values()), counts)

    def reload(self, server, words):
        before = len(server.lines)
        server.process.send_signal(signal.SIGHUP)
        return wait_until(lambda: [line for line in server.lines[before:] if "SIGHUP" in line and words in line], words)[0]

    def test_takes_effect(self):
        server = self.start("--jwt-keys", self.files.hmac("k1"))
        self.assertEqual(server.post(PROMPT, **bearer(hmac_token("k1"))).status, 200)
        self.files.hmac("k2")
        self.reload(server, "read again")
        self.refused(server.post(PROMPT, **bearer(hmac_token("k1"))))
        self.assertEqual(server.post(PROMPT, **bearer(hmac_token("k2"))).status, 200)

    def test_broken_file_keeps_the_old_keys(self):
        path = self.files.hmac("k1")
        server = self.start("--jwt-keys", path)
        for text, where in (('{"keys": [\n\n{"kid": "k2", "alg": "none"}]}', "jwt.json:3:"), ("{", "jwt.json:1:"),
                            ('{"keys": [\n{"kid": "k2",\n]}', "jwt.json:3:"), ("", "jwt.json:1:")):
            self.files.write("jwt.json", text)
            line = self.reload(server, "the old keys stay")
            self.assertIn(path, line)
            self.assertIn(where, line)
            self.assertEqual(server.post(PROMPT, **bearer(hmac_token("k1"))).status, 200)
        os.remove(path)
        self.reload(server, "the old keys stay")
        self.assertEqual(server.post(PROMPT, **bearer(hmac_token("k1"))).status, 200)

    def test_while_loading_and_without_keys(self):
        server = self.start("--jwt-keys", self.files.hmac("k1"), model="load_ms=1500", wait=False)
        self.files.hmac("k2")
        self.reload(server, "read again")
        server.wait_ready()
        self.assertEqual(server.post(PROMPT, **bearer(hmac_token("k2"))).status, 200)
        plain = self.start()
        self.reload(plain, "settings were read again")
        self.assertEqual(plain.post(PROMPT).status, 200)


class Line(AuthTest):
    """Tenants in the waiting line."""

    def busy(self, server, n, tenant="many", ms=150):
        headers = bearer(hmac_token(tenant=tenant))
        return [Background(lambda i=i: server.post({"prompt": f"run_ms={ms};say=x", "task": "ask", "seed": i}, **headers))
                for i in range(n)]

    def test_no_tenant_fills_it(self):
        server = self.start("--jwt-keys", self.files.hmac("k1"), "--queue-max", "12", "--sequences-max", "1",
                            "--prepare-threads", "1")
        answers = [one.result() for one in self.busy(server, 1)]
        waiting = self.busy(server, 16, ms=400)
        wait_until(lambda: server.get("/metrics", **bearer(hmac_token(scope="metrics"))).body.decode().count(
            'code="tenant_queue_full"'), "some are refused")
        other = server.post({"prompt": "say=x", "task": "ask"}, **bearer(hmac_token(tenant="one")))
        self.assertEqual(other.status, 200, other.body)
        answers = [one.result() for one in waiting]
        refused = [answer for answer in answers if answer.status != 200]
        # Half of the line, and what ran meanwhile.
        self.assertIn(len(refused), range(7, 11))
        for answer in refused:
            self.assertEqual((answer.status, answer.error["code"]), (429, "tenant_queue_full"))
            self.assertGreaterEqual(int(answer.headers["Retry-After"]), 1)

    def test_they_take_turns(self):
        server = self.start("--jwt-keys", self.files.hmac("k1"), "--sequences-max", "1", "--ready-max", "1",
                            "--prepare-threads", "1")
        waiting, ended = self.busy(server, 20), []
        watched = [Background(lambda one=one: ended.append(one.result().status)) for one in waiting]
        wait_until(lambda: 'state="waiting"} 17' in server.get(
            "/metrics", **bearer(hmac_token(scope="metrics"))).body.decode(), "seventeen wait")
        before = len(ended)
        self.assertEqual(server.post({"prompt": "say=x", "task": "ask"}, **bearer(hmac_token(tenant="one"))).status, 200)
        # One ran and one was ready; without turns all that wait would come first.
        self.assertLess(len(ended) - before, 8)
        for one in watched:
            one.result()
        self.assertEqual(ended, [200] * 20)

    def test_alone_one_may_fill_it(self):
        server = self.start("--queue-max", "4", "--sequences-max", "1", "--prepare-threads", "1")
        waiting = [server.in_background({"prompt": "run_ms=300;say=x", "task": "ask", "seed": i}) for i in range(12)]
        codes = {one.result().json.get("error", {}).get("code") for one in waiting}
        self.assertEqual(codes, {None, "queue_full"})


class Limits(AuthTest):
    def test_requests(self):
        """Bursts, exact Retry-After, tenants apart, overrides."""
        tenants = {"big": {"requests_per_s": 1000}, "slow": {"requests_per_s": 0.5, "requests_burst": 1}}
        server = self.start("--jwt-keys", self.files.hmac("k1", tenants=tenants), "--limit-requests-per-s", "0.2",
                            "--limit-requests-burst", "3")

        def post(tenant):
            return server.post(PROMPT, **bearer(hmac_token(tenant=tenant)))

        left = []
        for _ in range(3):
            answer = post("a")
            self.assertEqual(answer.status, 200)
            self.assertEqual(answer.headers["X-RateLimit-Limit"], "3")
            left.append(int(answer.headers["X-RateLimit-Remaining"]))
        self.assertEqual(left, [2, 1, 0])
        answer = self.refused(post("a"), 429, "rate_limited")
        self.assertIn(int(answer.headers["Retry-After"]), (4, 5))
        self.assertEqual(answer.headers["X-RateLimit-Remaining"], "0")
        self.assertIn(int(answer.headers["X-RateLimit-Reset"]), (14, 15))
        self.assertEqual(post("b").status, 200)
        self.assertEqual({post("big").status for _ in range(20)}, {200})
        self.assertEqual(post("slow").status, 200)
        answer = self.refused(post("slow"), 429, "rate_limited")
        time.sleep(int(answer.headers["Retry-After"]))
        self.assertEqual(post("slow").status, 200)
        # What is refused for another reason costs nothing, and open routes have no limit.
        for _ in range(5):
            self.refused(server.request("GET", ROUTE, headers=bearer(hmac_token(tenant="c"))), 405, "method_not_allowed")
            self.assertEqual(server.get("/health").status, 200)
        self.assertEqual(post("c").headers["X-RateLimit-Remaining"], "2")

    def test_without_keys(self):
        server = self.start("--limit-requests-per-s", "0.1", "--limit-requests-burst", "2")
        self.assertEqual([server.post(PROMPT).status for _ in range(3)], [200, 200, 429])

    def test_many_clients_get_what_is_there(self):
        server = self.start("--limit-requests-per-s", "0.001", "--limit-requests-burst", "50", "--queue-max", "256")
        statuses = []

        def client():
            for _ in range(15):
                statuses.append(server.post(PROMPT).status)

        threads = [threading.Thread(target=client) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE_S)
        self.assertEqual((statuses.count(200), statuses.count(429)), (50, 70))

    def test_megapixels(self):
        server = self.start("--limit-megapixels-per-s", "0.5", "--limit-megapixels-burst", "4")

        def post(*pictures):
            return server.post({"images": [b64(p) for p in pictures], "prompt": "x"})

        one, two = png(1000, 1000), png(2000, 1000)
        self.assertEqual(post(two, one).status, 200)
        answer = self.refused(post(two), 429, "megapixels_limited")
        self.assertIn(int(answer.headers["Retry-After"]), (1, 2))
        self.assertEqual(server.post(PROMPT).status, 200)  # no picture, no pixels
        self.assertEqual(post(one).status, 200)
        time.sleep(8.1)
        # More than the bucket holds: possible once it is full, and paid back afterwards.
        self.assertEqual(post(two, two, two).status, 200)
        answer = self.refused(post(one), 429, "megapixels_limited")
        self.assertIn(int(answer.headers["Retry-After"]), (5, 6))

    def test_brute_force(self):
        """Guesses stop being looked at; other addresses, and those without a guess, are not held up."""
        server = self.start("--jwt-keys", self.files.hmac("k1"), "--limit-failures-per-s", "1", "--proxies", "1")

        def post(address, token):
            return server.post(PROMPT, **bearer(token), **{"X-Forwarded-For": f"9.9.9.9, {address}"})

        statuses = [post("203.0.113.5", hmac_token(secret=b"%040d" % i)).status for i in range(40)]
        n_looked_at = statuses.count(401)
        self.assertEqual(statuses[:10], [401] * 10)
        self.assertEqual(set(statuses), {401, 429})
        self.assertLess(n_looked_at, 20)
        answer = self.refused(post("203.0.113.5", hmac_token()), 429, "too_many_failures")
        self.refused(server.post(PROMPT, **{"X-Forwarded-For": "203.0.113.5"}))
        # Some proxies add a line of their own; the last of all is the client.
        for last, status in (("203.0.113.5", b" 429 "), ("203.0.113.7", b" 200 ")):
            out = server.raw(f"GET /v1/models HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 9.9.9.9\r\nX-Forwarded-For: {last}\r\n"
                             f"Authorization: Bearer {hmac_token()}\r\nConnection: close\r\n\r\n".encode(), half_close=False)
            self.assertIn(status, out.split(b"\r\n")[0], last)
        self.assertEqual(post("203.0.113.6", hmac_token()).status, 200)
        self.assertEqual(post("2001:db8::1", hmac_token()).status, 200)
        time.sleep(int(answer.headers["Retry-After"]))
        self.assertEqual(post("203.0.113.5", hmac_token()).status, 200)
        # The client's own part of the header is not believed; IPv6 counts by /64.
        for i in range(20):
            post(f"2001:db8:0:7::{i}", "wrong")
        self.assertEqual(post("2001:db8:0:7:8::", hmac_token()).status, 429)
        self.assertEqual(post("2001:db8:0:8::", hmac_token()).status, 200)

    def test_forwarded_is_not_read_unasked(self):
        server = self.start("--jwt-keys", self.files.hmac("k1"), "--limit-failures-per-s", "0.1")
        for i in range(3):
            server.post(PROMPT, **bearer("wrong"), **{"X-Forwarded-For": f"203.0.113.{i}"})
        self.assertEqual(server.post(PROMPT, **bearer(hmac_token())).status, 429)


class TokenCommand(AuthTest):
    """glint token makes what the server takes."""

    def make(self, *words):
        return subprocess.run([GLINT, "token", *words], capture_output=True, text=True, check=True,
                              cwd=self.files.dir).stdout

    def test_round_trip(self):
        entries, tokens = [], []
        for alg in ("RS256", "ES256", "EdDSA"):
            entries.append(self.make("new-key", "--kid", alg, "--alg", alg).splitlines()[-1].strip())
        path = self.files.write("jwt.json", '{"keys":[' + ",".join(entries) + "]}")
        secret = self.make("new-key", "--kid", "hs", "--alg", "HS256").splitlines()[-1].strip()
        hmac_path = self.files.write("hs.json", f'{{"keys":[{secret}]}}')
        for name in os.listdir(self.files.dir):
            if "private" in name or "secret" in name:
                self.assertEqual(os.stat(os.path.join(self.files.dir, name)).st_mode & 0o777, 0o600)
        for alg in ("RS256", "ES256", "EdDSA"):
            tokens.append(self.make("jwt", "--key", f"{alg}-private.pem", "--kid", alg, "--tenant", "acme", "--audience",
                                    "glint", "--issuer", "me", "--subject", 'q"\\', "--scope", "infer").strip())
        lines = self.make("api-key", "--tenant", "acme", "--scope", "infer", "--scope", "metrics", "--ttl-s", "60")
        key, entry = lines.split()[5], lines.splitlines()[-1]
        keys_path = self.files.write("keys.json", f'{{"keys":[{entry}]}}')
        server = self.start("--jwt-keys", path, "--api-keys", keys_path, "--jwt-audience", "glint", "--jwt-issuer", "me")
        for credential in [*tokens, key]:
            self.assertEqual(server.post(PROMPT, **bearer(credential)).status, 200, credential)
        for alg, token in zip(("RS256", "ES256", "EdDSA"), tokens):
            with open(os.path.join(self.files.dir, f"{alg}-public.pem"), encoding="ascii") as file:
                got = jwt.decode(token, file.read(), [alg], audience="glint", issuer="me")
            self.assertEqual((got["sub"], got["tenant"], got["exp"] - got["iat"]), ('q"\\', "acme", 3600))
        plain = self.start("--jwt-keys", hmac_path)
        token = self.make("jwt", "--key", "hs-secret.txt", "--tenant", "acme").strip()
        self.assertEqual(plain.post(PROMPT, **bearer(token)).status, 200)

    def test_refused(self):
        def fails(code, *words):
            done = subprocess.run([GLINT, "token", *words], capture_output=True, text=True, cwd=self.files.dir)
            self.assertEqual((done.returncode, done.stdout), (code, ""), done.stderr)
            self.assertEqual(done.stderr.count("\n"), 1)

        fails(2, "nothing")
        fails(2, "jwt")
        fails(2, "jwt", "--tenant", "a b", "--key", "x")
        fails(3, "jwt", "--tenant", "a", "--key", "nowhere")
        fails(2, "api-key", "--tenant", "a", "--scope", "root")
        fails(2, "new-key")
        fails(2, "new-key", "--kid", "../x")
        self.files.write("x", "short")
        fails(3, "jwt", "--tenant", "a", "--key", "x")
        self.make("new-key", "--kid", "k")
        fails(3, "new-key", "--kid", "k")  # nothing is overwritten


if __name__ == "__main__":
    unittest.main(verbosity=1)

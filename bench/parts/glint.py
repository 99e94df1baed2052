"""glint's side: its bench command and its server."""
import json

from .quiet import run


class Glint:
    name = "glint"

    def __init__(self, binary, model_dir, dtype, threads):
        self.binary, self.model_dir, self.dtype, self.threads = binary, model_dir, dtype, threads

    def _model(self):
        return ["--model", self.model_dir, "--dtype", self.dtype, "--threads", str(self.threads)]

    def _bench(self, repeats, prefill=(0,), decode=(0,), pixels=(0,), past=0, generated=1):
        argv = [self.binary, "bench", "model", *self._model(), "--json", "--no-ceilings",
                "--rounds", str(repeats), "--decode-past", str(past),
                "--decode-tokens", str(generated)]
        for option, values in (("prefill", prefill), ("decode", decode), ("pixels", pixels)):
            for value in values:
                argv += [f"--{option}", str(value)]
        return json.loads(run(argv)[0])["items"]

    def machine(self, rounds):
        """The machine's card and ceilings: glint bench machine."""
        return json.loads(run([self.binary, "bench", "machine", "--json", "--rounds", str(rounds),
                               "--threads", str(self.threads)])[0])

    def text_speed(self, prefill, generated, repeats):
        out = {}
        for item in self._bench(repeats, prefill=[prefill], decode=[1], generated=generated):
            tokens = prefill if item["work"] == "prefill" else generated
            out[item["work"], tokens] = [1e3 * item["tokens"] / ms for ms in item["ms"]["runs"]]
        return out

    def batch_speed(self, sequences, past, generated):
        items = self._bench(1, decode=sequences, past=past, generated=generated)
        return {item["size"]: item["tokens_per_s"] for item in items}

    def vision_ms(self, pixels, repeats):
        items = self._bench(repeats, pixels=pixels)
        return {item["size"]: (item["ms"]["runs"], int(item["tokens"])) for item in items}

    def server_argv(self, port):
        return [self.binary, "serve", *self._model(), "--listen", f"127.0.0.1:{port}"]

    ready_path = "/ready"
    routes = ("chat", "audit")

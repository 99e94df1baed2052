"""python reference/ask.py MODEL_DIR PICTURE... --prompt TEXT: answer one question"""

import argparse
import json
import os

from glm4v import Checkpoint, generate
from preprocess import preprocess
from tokenizer import Glm4vTokenizer

p = argparse.ArgumentParser(description="Ask the reference model about pictures.")
p.add_argument("model")
p.add_argument("pictures", nargs="*")
p.add_argument("--prompt", required=True)
p.add_argument("--max-tokens", type=int, default=96)
a = p.parse_args()

config = json.load(open(os.path.join(a.model, "preprocessor_config.json"), encoding="utf-8"))
tokenizer = Glm4vTokenizer(a.model)
pictures = [preprocess(f, config) for f in a.pictures]
ids = tokenizer.prompt([("user", [None] * len(pictures) + [a.prompt])], [g for _, g in pictures])
print(tokenizer.decode(generate(Checkpoint(a.model), ids, pictures, a.max_tokens)))

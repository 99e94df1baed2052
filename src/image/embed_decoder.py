"""embed_decoder.py PROGRAM OUT.c: the glint-decoder program as a C array (see decoder_wire.h)"""
import sys

with open(sys.argv[1], "rb") as f:
    data = f.read()
with open(sys.argv[2], "w", encoding="ascii") as f:
    f.write('#include "image/decoder_wire.h"\n\nconst unsigned char gi_decoder_program[] = {\n')
    for i in range(0, len(data), 24):
        f.write(",".join(map(str, data[i : i + 24])) + ",\n")
    f.write("};\nconst size_t gi_decoder_program_bytes = sizeof gi_decoder_program;\n")

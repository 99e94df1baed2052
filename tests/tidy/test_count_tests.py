"""tools/count_tests reads what test programs really print."""
import json
import os
import subprocess
import sys
import tempfile
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
COUNT = os.path.join(ROOT, "tools", "count_tests")

CMOCKA_OK = "[==========] Running 3 test(s).\n[  PASSED  ] 3 test(s).\n"
CMOCKA_BAD = (
    "[==========] Running 4 test(s).\n[==========] 4 test(s) run.\n[  PASSED  ] 2 test(s).\n"
    "[  SKIPPED ] 1 test(s), listed below:\n[  SKIPPED ] test_c\n"
    "[  FAILED  ] 1 test(s), listed below:\n[  FAILED  ] test_d\n\n 1 FAILED TEST(S)\n"
)
UNITTEST_BAD = "Ran 9 tests in 0.1s\n\nFAILED (failures=1, errors=2, skipped=3)\n"


class Counts(unittest.TestCase):
    def count(self, *programs):
        """programs: (meson's result, stdout, stderr) each"""
        with tempfile.NamedTemporaryFile("w", suffix=".json") as log:
            for result, stdout, stderr in programs:
                log.write(json.dumps({"result": result, "stdout": stdout, "stderr": stderr}) + "\n")
            log.flush()
            run = subprocess.run([sys.executable, COUNT, log.name], capture_output=True, text=True)
        return run.stdout.strip(), run.returncode

    def test_cmocka(self):
        self.assertEqual(self.count(("OK", CMOCKA_OK, "")), ("3 0 0", 0))
        self.assertEqual(self.count(("FAIL", CMOCKA_BAD, "")), ("2 1 1", 1))
        self.assertEqual(self.count(("OK", "", CMOCKA_OK), ("OK", CMOCKA_OK, "")), ("6 0 0", 0))

    def test_unittest(self):
        self.assertEqual(self.count(("OK", "", "Ran 2 tests in 0.1s\n\nOK\n")), ("2 0 0", 0))
        self.assertEqual(self.count(("FAIL", "", UNITTEST_BAD)), ("3 3 3", 1))

    def test_plain_line(self):
        self.assertEqual(self.count(("OK", "5 passed, 0 failed, 2 skipped\n", "")), ("5 0 2", 0))
        self.assertEqual(self.count(("FAIL", "5 passed, 1 failed\n", "")), ("5 1 0", 1))

    def test_silent_programs(self):
        self.assertEqual(self.count(("OK", "", "")), ("1 0 0", 0))
        self.assertEqual(self.count(("SKIP", "", "")), ("0 0 1", 0))
        self.assertEqual(self.count(("FAIL", "", "")), ("0 1 0", 1))
        self.assertEqual(self.count(("TIMEOUT", "", "")), ("0 1 0", 1))

    def test_crash_after_good_cases_is_a_failure(self):
        self.assertEqual(self.count(("FAIL", CMOCKA_OK, "Sanitizer: boom")), ("3 1 0", 1))

    def test_text_without_counts_is_a_failure(self):
        with tempfile.NamedTemporaryFile("w") as log:
            run = subprocess.run([sys.executable, COUNT, "--text", log.name], capture_output=True, text=True)
        self.assertEqual((run.stdout.strip(), run.returncode), ("0 1 0", 1))


if __name__ == "__main__":
    unittest.main()

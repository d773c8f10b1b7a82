"""Regular expressions for the lines in which a mistake usually is."""

from __future__ import annotations

TARGET = r"(self\.)?(y|Y|t|T|ys?_?\w{0,5}|targets?|labels?|expected|wanted|desired)\b\S*"
OUTPUT_MINUS_TARGET = rf"[\w\])]\s*-\s*{TARGET}"
TARGET_MINUS_OUTPUT = rf"(^|[\s(=]){TARGET}\s*-[^=]"
DIFFERENCE = (OUTPUT_MINUS_TARGET, TARGET_MINUS_OUTPUT, r"(delta|err|grad|\bd\w*)\S*\s*=")
UPDATE = (
    r"[-+]=|[\w\])]\s*-\s*(lr|learning_rate|rate|eta|alpha)\b\s*\*|"
    r"=.*\s[-+]\s.*(lr|rate|eta|alpha|step|grad|\bd[A-Z_w]|\bg\b)"
)
GOES_DOWN = r"(delta|err|grad|\bd|\be|\bg)\w*\S*\s*=.*(\.T\b|transpose|dot|@|einsum|matmul)"
PRODUCT = r"dot|@|outer|einsum|matmul"
SLOPE_HINTS = (
    r"deriv|prime|slope|grad\w*=True|dsig|dtanh|drelu|sigmoid_\w*grad|_d\(|d_sig|nonlin\(.*True|\bdf\(|d_elu",
    r"[*,]\s*\(?\s*1(\.0?)?\s*-|1(\.0?)?\s*-\s*\S+\s*\*\*\s*2|1(\.0?)?\s*-\s*np\.(square|power|tanh)",
    r"[<>]=? ?0|mask",
    r"delta|d[zZ]|err",
)
BIAS_HINTS = (r"\bd_?b\w*|grad\w*\S*b|nabla_b|bias|\bb\d?\b", r"sum\(|mean\(", UPDATE)
SCALE_HINTS = (r"/=?\s*(n|m|N|len|batch\w*|[xXyY]\.s|self\.m)\b", r"mean\(", *DIFFERENCE)

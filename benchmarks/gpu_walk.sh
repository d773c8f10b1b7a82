#!/usr/bin/env bash
# What a user types, on a GPU: `bash benchmarks/gpu_walk.sh FOLDER OPTIONS`, where OPTIONS are those of a device.
set -eu
PYTHON=${PYTHON:-python3}
folder=$1
shift
mkdir -p "$folder"
"$PYTHON" - "$folder/iris.csv" <<'END'
import sys
from sklearn.datasets import load_iris
load_iris(as_frame=True).frame.to_csv(sys.argv[1], index=False)
END
set -x
time "$PYTHON" -m anyarray_mlp train digits --epochs 5 "$@" --out "$folder/digits"
time "$PYTHON" -m anyarray_mlp train digits --epochs 2 --reproducible "$@" --out "$folder/reproducible"
time "$PYTHON" -m anyarray_mlp train "$folder/iris.csv" --epochs 30 "$@" --out "$folder/iris"
"$PYTHON" -m anyarray_mlp train "$folder/iris.csv" --solver lbfgs --epochs 20 "$@" --out "$folder/lbfgs"
"$PYTHON" -m anyarray_mlp predict "$folder/iris" "$folder/iris.csv" | head -3
"$PYTHON" - "$@" <<'END'
import sys
from sklearn.datasets import load_digits
from anyarray_mlp import MLPClassifier
device, backend = sys.argv[2], sys.argv[4]
x, y = load_digits(return_X_y=True)
model = MLPClassifier((64,), max_iter=20, random_state=0, device=device, backend=backend).fit(x / 16, y)
print(type(model.predict_proba(x[:2] / 16)), model.score(x / 16, y))
END

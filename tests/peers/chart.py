"""Lints the Helm chart and renders it with Helm's own engine, in the Python package helm-python-sdk.

    chart.py CHART.tgz WAPBRIDGE DIRECTORY     writes DIRECTORY/NAME/*.yaml, one NAME for each set of values
"""
import os
import pathlib
import subprocess
import sys
import tarfile

import helm_python as helm

chart_file, wapbridge, directory = sys.argv[1], sys.argv[2], pathlib.Path(sys.argv[3])
ALL_ON = {
    "mode": "loadBalancer",
    "image": {"tag": "other"},
    "listen": {
        "connectionless": None,
        "secureConnectionMode": 9203,
        "secureConnectionless": 9202,
        "http": 8080,
    },
    "secrets": ["wtls"],
    "configuration": '[wtls]\nsuites = ["RC5_CBC/SHA"]\n[[route]]\nmatch = "http://a.example/"\nupstream = "https://b.example/"\n',
    "loadBalancer": {"replicas": 3, "annotations": {"a.example/b": "c"}, "storageClass": "fast"},
}
VALUES = {"host-network": {}, "load-balancer": {"mode": "loadBalancer"}, "all-on": ALL_ON}
REFUSED = [
    {"mode": "nodePort"},
    {"listen": {"connectionMode": 70000}},
    {"listen": {"wsp": 9201}},
    {"configuration": '[listen]\nconnection_mode = "0.0.0.0:9201"\n'},
    {"admin": {"tokenSecret": ""}},
]


def configuration(manifest):
    """The gateway's configuration, with its files here."""
    lines = manifest.split("wapbridge.toml: |\n", 1)[1].splitlines()
    text = "\n".join(line.removeprefix("    ") for line in lines) + "\n"
    return text.replace("/run/secrets/wapbridge-admin", str(directory)).replace("/var/lib/wapbridge", str(directory))


with tarfile.open(chart_file) as archive:
    archive.extractall(directory / "source", filter="data")
report = helm.lint(str(directory / "source" / "wapbridge"), strict=True)
# 2 is a warning, 3 an error; that an icon is recommended is 1.
faults = [message for message in report["messages"] if message["severity"] > 1]
if faults or report["errors"]:
    sys.exit(f"lint: {faults} {report['errors']}")

(directory / "token").write_text("0" * 64)
os.chmod(directory / "token", 0o600)
with helm.Chart.load(chart_file) as chart:
    for name, values in VALUES.items():
        chart.validate_schema(values)
        rendered = chart.render(values, name="edge", namespace="wap")
        place = directory / name
        place.mkdir()
        for path, text in rendered.items():
            if text.strip() and path.endswith(".yaml"):
                (place / os.path.basename(path)).write_text(text)
        (place / "wapbridge.toml").write_text(configuration((place / "configmap.yaml").read_text()))
        subprocess.run([wapbridge, "check", "--strict", place / "wapbridge.toml"], check=True, stdout=subprocess.DEVNULL)
    for values in REFUSED:
        try:
            chart.validate_schema(values)
        except helm.HelmValuesError:
            continue
        sys.exit(f"the schema of the values takes {values}")
print(f"Helm {helm.helm_sdk_version()}: no warnings; {len(VALUES)} sets of values rendered, {len(REFUSED)} refused")

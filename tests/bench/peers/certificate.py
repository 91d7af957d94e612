"""A key and a certificate that signs itself, for the peers that speak TLS."""
from rig import run


def make_certificate(directory):
    """(key, certificate, both in one file)"""
    key, certificate, both = (
        directory / name for name in ("key.pem", "certificate.pem", "both.pem")
    )
    run(
        *(
            "openssl",
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
        ),
        *("-days", "30", "-subj", "/CN=bench", "-addext", "subjectAltName=DNS:bench"),
        *("-keyout", key, "-out", certificate),
    )
    both.write_text(certificate.read_text() + key.read_text())
    for path in (key, both):
        path.chmod(0o600)
    return key, certificate, both

"""spx whose three parties keep audits, to be held against spx that does not: no row of its own."""
from peers import spx


class Peer(spx.Peer):
    title = "spx with audits"

    def write(self, name, text, mode=0o600):
        role = name.removesuffix(".conf")
        section = f"[{role.capitalize()}]\n"
        assert section in text
        # The agent's and the relay's own section comes first.
        audited = text.replace(section, f"{section}Audit = {self.directory / role}.audit\n", 1)
        return super().write(name, audited, mode)

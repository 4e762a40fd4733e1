"""All of proto/ as protoc reads it: declarations, options and comments, for what is generated from them."""
import glob
import os
import subprocess
import tempfile

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PACKAGE = ".frameworks.v1."
FIELD = descriptor_pb2.FieldDescriptorProto


class Contract:
    """All of proto/, with our options readable and every comment by its declaration."""

    def __init__(self):
        self.files = self.load()
        self.messages, self.enums, self.comments, self.maps = {}, {}, {}, {}
        for file in self.files:
            if file.package != "frameworks.v1":
                continue
            notes = {tuple(place.path): place.leading_comments.strip() or place.trailing_comments.strip()
                     for place in file.source_code_info.location}
            for i, message in enumerate(file.message_type):
                self.add_message(message, PACKAGE + message.name, (4, i), notes)
            for i, enum in enumerate(file.enum_type):
                self.add_enum(enum, PACKAGE + enum.name, (5, i), notes)
            for i, service in enumerate(file.service):
                self.comments[service.name] = notes.get((6, i), "")
                for j, method in enumerate(service.method):
                    self.comments[f"{service.name}.{method.name}"] = notes.get((6, i, 2, j), "")

    def load(self):
        protos = sorted(glob.glob(os.path.join(ROOT, "proto/frameworks/v1/*.proto")))
        with tempfile.NamedTemporaryFile() as out:
            subprocess.run(["protoc", f"-I{ROOT}/proto", "--include_imports", "--include_source_info",
                            f"--descriptor_set_out={out.name}", *protos], check=True)
            data = out.read()
        # Twice: the second reading knows our extensions of the options.
        pool = descriptor_pool.DescriptorPool()
        for file in descriptor_pb2.FileDescriptorSet.FromString(data).file:
            pool.Add(file)
        factory = message_factory.MessageFactory(pool)
        factory.GetMessages([os.path.relpath(path, os.path.join(ROOT, "proto")) for path in protos])
        self.extensions = {name: pool.FindExtensionByName("frameworks.v1." + name)
                           for name in ("access", "http", "rules", "kind", "tenant_scope", "writes")}
        kind = factory.GetPrototype(pool.FindMessageTypeByName("google.protobuf.FileDescriptorSet"))
        return kind.FromString(data).file

    def option(self, declaration, name):
        return declaration.options.Extensions[self.extensions[name]]

    def has_option(self, declaration, name):
        return declaration.options.HasExtension(self.extensions[name])

    def add_message(self, message, name, path, notes):
        self.messages[name] = message
        self.comments[name] = notes.get(path, "")
        if message.options.map_entry:
            self.maps[name] = message
        for i, field in enumerate(message.field):
            self.comments[f"{name}.{field.name}"] = notes.get((*path, 2, i), "")
        for i, nested in enumerate(message.nested_type):
            self.add_message(nested, f"{name}.{nested.name}", (*path, 3, i), notes)
        for i, enum in enumerate(message.enum_type):
            self.add_enum(enum, f"{name}.{enum.name}", (*path, 4, i), notes)

    def add_enum(self, enum, name, path, notes):
        self.enums[name] = enum
        self.comments[name] = notes.get(path, "")
        for i, value in enumerate(enum.value):
            self.comments[f"{name}.{value.name}"] = notes.get((*path, 2, i), "")

    def services(self):
        return [service for file in self.files if file.package == "frameworks.v1"
                for service in file.service]

    def kinds(self):
        found = [(name, message) for name, message in self.messages.items()
                 if self.has_option(message, "kind")]
        return sorted(found)


def words(text):
    return " ".join(text.split())


def short(name):
    return name[len(PACKAGE):] if name.startswith(PACKAGE) else name.lstrip(".")


def enum_words(contract, name):
    enum = contract.enums[name]
    prefix = enum.value[0].name.removesuffix("UNSPECIFIED").removesuffix("ANY").removesuffix("NOBODY")
    return [(value.name.removeprefix(prefix).lower().replace("_", "-"),
             contract.comments.get(f"{name}.{value.name}", "")) for value in enum.value[1:]]

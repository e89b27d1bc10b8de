"""Third-party nodes: simple ones work as they are, broken ones do no harm."""

from __future__ import annotations

from pathlib import Path

from tests.support.service import encoded, error_of, running_service

GOOD = """
import torch

class Split:
    CATEGORY = "test"
    RETURN_TYPES = ("IMAGE", "INT")
    OUTPUT_IS_LIST = (True, False)
    FUNCTION = "go"
    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"image": ("IMAGE",), "parts": ("INT", {"default": 2, "min": 1})}}
    def go(self, image, parts):
        return (list(torch.chunk(image, parts, dim=2)), parts)

class Darken:
    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "go"
    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"image": ("IMAGE",)}, "hidden": {"me": "UNIQUE_ID", "all": "PROMPT"}}
    async def go(self, image, me, all):
        assert all[me]["class_type"] == "Darken"
        return (image * 0.5,)

class Gather:
    RETURN_TYPES = ()
    OUTPUT_NODE = True
    INPUT_IS_LIST = True
    FUNCTION = "go"
    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"images": ("IMAGE",), "parts": ("INT", {"forceInput": True})}}
    def go(self, images, parts):
        return {"ui": {"text": [str([list(i.shape) for i in images]), str(parts)]}}

class Wrong:
    RETURN_TYPES = ("IMAGE",)
    OUTPUT_NODE = True
    FUNCTION = "go"
    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"how": (["text", "none", "exit", "raise", "expand", "two", "odd"],)}}
    def go(self, how):
        if how == "exit":
            raise SystemExit(3)
        if how == "raise":
            raise ValueError("cannot open /home/user/secret/photo.png for 10.1.2.3")
        if how == "odd":
            loop = []
            loop.append(loop)
            odd = [2**80, torch.zeros(3), {1: {2}}, loop, b"\\xff", "\\ud800"]
            return {"ui": {"x": odd, 5: [0]}}
        return {"text": "text", "none": 5, "expand": {"expand": {}}, "two": (1, 2)}[how]

NODE_CLASS_MAPPINGS = {"Split": Split, "Darken": Darken, "Gather": Gather, "Wrong": Wrong,
                       "SaveImage": Wrong, "Broken": object}
NODE_DISPLAY_NAME_MAPPINGS = {"Split": "Split a picture"}
"""


async def test_simple_nodes_work_as_they_are(tmp_path: Path) -> None:
    """Lists, async functions, hidden inputs and texts to show work as in ComfyUI."""
    folder = tmp_path / "nodes"
    (folder / "package").mkdir(parents=True)
    (folder / "good.py").write_text(GOOD)
    (folder / "broken.py").write_text("import nothing_of_this_name")
    (folder / "leaves.py").write_text("raise SystemExit(1)")
    (folder / "empty.py").write_text("")
    (folder / "off.py.disabled").write_text("raise RuntimeError")
    (folder / "package" / "__init__.py").write_text("from .inner import NODE_CLASS_MAPPINGS")
    (folder / "package" / "inner.py").write_text("NODE_CLASS_MAPPINGS = {}")
    async with running_service(tmp_path, nodes=(folder,)) as service:
        types = service.service.types
        assert types["Split"].display_name == "Split a picture"
        assert types["SaveImage"].cls.__name__ == "SaveImage"
        assert "Broken" not in types
        await service.upload(encoded())
        entry = await service.run(
            {
                "1": {"class_type": "LoadImage", "inputs": {"image": "photo.png"}},
                "2": {"class_type": "Split", "inputs": {"image": ["1", 0], "parts": 4}},
                "3": {"class_type": "Darken", "inputs": {"image": ["2", 0]}},
                "4": {"class_type": "Gather", "inputs": {"images": ["3", 0], "parts": ["2", 1]}},
            }
        )
        shapes, parts = entry["outputs"]["4"]["text"]
        assert shapes == str([[1, 48, 16, 3]] * 4)
        assert parts == "[4]"
        warnings = [r["message"] for r in service.records() if r["log.level"] == "warning"]
        for name in ("broken.py", "leaves.py", "empty.py", "Broken", "SaveImage"):
            assert any(name in message for message in warnings), name


async def test_nodes_that_go_wrong(tmp_path: Path) -> None:
    """A node that exits, raises or returns nonsense fails its prompt, and the worker lives on."""
    (tmp_path / "nodes").mkdir()
    (tmp_path / "nodes" / "good.py").write_text(GOOD)
    async with running_service(tmp_path, nodes=(tmp_path / "nodes",)) as service:
        for how in ("text", "none", "exit", "raise", "expand", "two"):
            entry = await service.run({"1": {"class_type": "Wrong", "inputs": {"how": how}}})
            error = error_of(entry)
            assert error["kind"] == "execution_error", how
            assert "/home" not in str(error)
            assert "10.1.2.3" not in str(error)
        entry = await service.run({"1": {"class_type": "Wrong", "inputs": {"how": "odd"}}})
        shown = entry["outputs"]["1"]["x"]
        assert shown[:3] == [str(2**80), "Tensor(3,) torch.float32", {"1": [2]}]
        text = service.log_file.read_text()
        assert "/home/user" not in text
        assert "10.1.2.3" not in text

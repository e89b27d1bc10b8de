# syntax=docker/dockerfile:1
# A real ComfyUI with the DDColor node and our pack. Targets: `comfyui` (PyTorch for the CPU) and
# `comfyui-gpu` (PyTorch with CUDA). Nothing of ComfyUI (GPL-3.0) is part of this project: the builder
# fetches its release and the node's (Apache-2.0), each by its commit.
ARG PYTHON=python:3.12-slim-trixie

FROM ${PYTHON} AS tools
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1
WORKDIR /build
RUN python -m venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH
COPY compose/select_lock.py locks/comfyui.txt locks/development.txt ./

FROM tools AS comfyui-libraries
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
RUN --mount=type=cache,target=/root/.cache/pip \
    python select_lock.py comfyui.txt --without torch torchvision torchaudio triton 'nvidia-cu*' \
      'nvidia-n[cv]*' 'cuda-*' > wanted.txt \
    && pip install --no-deps --require-hashes --requirement wanted.txt \
    && pip install --no-deps --index-url "${TORCH_INDEX}" \
      $(python select_lock.py comfyui.txt --only torch torchvision torchaudio --pins)

FROM tools AS comfyui-gpu-libraries
RUN --mount=type=cache,target=/root/.cache/pip \
    pip install --no-deps --require-hashes --requirement comfyui.txt

FROM tools AS code
RUN --mount=type=cache,target=/root/.cache/pip \
    python select_lock.py development.txt --only hatchling packaging pathspec pluggy \
      trove-classifiers > build.txt \
    && pip install --no-deps --require-hashes --requirement build.txt
COPY pyproject.toml README.md LICENSE ./
COPY instrumentation instrumentation
COPY service service
COPY elastalert_rules elastalert_rules
COPY operations operations
RUN pip install --no-deps --no-build-isolation --no-compile --target /app .

FROM ${PYTHON} AS base
# ComfyUI 0.33.0, and the node of the workflows.
ADD https://github.com/Comfy-Org/ComfyUI.git#2f35f4a08176d993cded35dac3332be4f7287f41 /comfyui
ADD https://github.com/kijai/ComfyUI-DDColor.git#30d5b8e7666382a6a78404caee28dfa87f741037 /comfyui/custom_nodes/ComfyUI-DDColor
COPY instrumentation/custom_node/comfyui_ddcolor_telemetry /comfyui/custom_nodes/comfyui_ddcolor_telemetry
# Any user of group 0 can write here; Docker makes a volume's folder as the image has it.
RUN install -d -o 1000 -g 0 -m 0770 /var/log/ddcolor /var/lib/ddcolor /var/lib/ddcolor/comfyui
ENV PATH=/app/bin:/opt/venv/bin:$PATH \
    PYTHONPATH=/app \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    HOME=/tmp
WORKDIR /comfyui
USER 1000:0
# Its own folder stays read-only: all that it writes goes into one volume.
ENTRYPOINT ["python", "main.py", "--listen", "0.0.0.0", "--port", "8188", \
    "--input-directory", "/var/lib/ddcolor/comfyui/input", \
    "--output-directory", "/var/lib/ddcolor/comfyui/output", \
    "--temp-directory", "/var/lib/ddcolor/comfyui", \
    "--user-directory", "/var/lib/ddcolor/comfyui", \
    "--database-url", "sqlite:////var/lib/ddcolor/comfyui/comfyui.db"]

FROM base AS comfyui-gpu
COPY --from=comfyui-gpu-libraries /opt/venv /opt/venv
COPY --from=code /app /app

FROM base AS comfyui
COPY --from=comfyui-libraries /opt/venv /opt/venv
COPY --from=code /app /app

# olmv on the CPU: `docker build -t olmv:0.1.0 .`, then see docs/guides/deploy.md. Dockerfile.cuda is for a GPU.
ARG PYTHON_IMAGE=python:3.11-slim-bookworm

FROM ${PYTHON_IMAGE} AS build
# PyTorch without CUDA, which takes gigabytes less. Set to "" where the usual index has such a build, as on ARM.
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /src
RUN python -m venv /opt/olmv
ENV PATH=/opt/olmv/bin:$PATH
COPY constraints.txt ./
RUN pip install -c constraints.txt ${TORCH_INDEX:+--index-url "$TORCH_INDEX"} torch torchvision
# what olmv needs, before its source, which changes more often
COPY pyproject.toml ./
RUN python -c 'import tomllib; project = tomllib.load(open("pyproject.toml", "rb"))["project"]; extras = project["optional-dependencies"]; print(*project["dependencies"], *extras["serve"], *extras["openai"], sep="\n")' > requirements.txt \
    && pip install -c constraints.txt -r requirements.txt \
    && python -c 'import torch; assert torch.version.cuda is None, "a CUDA build of torch came; set TORCH_INDEX"'
COPY README.md LICENSE ./
COPY olmv ./olmv
COPY prompts ./prompts
COPY configs ./configs
RUN pip install --no-deps . && olmv --version

FROM ${PYTHON_IMAGE}
RUN useradd --uid 10001 --user-group --no-create-home --home-dir /cache --shell /usr/sbin/nologin olmv \
    && install -d -o olmv -g olmv /models /cache /data
COPY --from=build /opt/olmv /opt/olmv
# /models: weights of the Hub; /cache: uploads and what can be made again; /data: libraries, labels, reviews
ENV PATH=/opt/olmv/bin:$PATH \
    HOME=/cache \
    HF_HOME=/models \
    OLMV_CACHE=/cache/olmv \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
VOLUME ["/models", "/cache", "/data"]
WORKDIR /data
USER 10001:10001
EXPOSE 8080
HEALTHCHECK --interval=30s --timeout=5s --start-period=120s --retries=3 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8080/healthz', timeout=4)"]
# beyond this machine a token is asked for: OLMV_TOKEN, else a new one, which is printed
CMD ["olmv", "serve", "--host", "0.0.0.0", "--port", "8080"]

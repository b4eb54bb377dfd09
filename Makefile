# Closer Look in two commands: `make demo` goes from nothing to the site, `make test` from nothing to the tests' verdict.
# Needed: Python 3.11 or newer (3.11 to 3.13 have every package ready-made) and make. `make` alone lists what there is.

# Variables, given as in `make demo TORCH=cpu CORES=4`
PYTHON ?= $(ready_python)## the Python that makes the environment
VENV ?= .venv## where the environment lies
TORCH ?= $(if $(wildcard $(VENV)/whole-cpu-*),cpu,default)## default (with CUDA, 6 GB) or cpu (1.5 GB); the environment remembers
CORES ?= all## how many cores the workflow may use
TORCH_CPU_INDEX ?= https://download.pytorch.org/whl/cpu## where PyTorch's CPU wheels come from
SNAKEMAKE ?= snakemake## with any options of your own
PYTEST ?= pytest## with any options of your own

# The first of these that is fit, else python3, of which the check below will complain
ready_python = $(shell for python in python3 python3.13 python3.12 python3.11 python3; do \
	$$python -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null && break; done; echo $$python)

ifeq ($(TORCH),default)
  LOCK ?= envs/requirements.lock
  pip_options := --require-hashes
else ifeq ($(TORCH),cpu)
  LOCK ?= envs/requirements-cpu.lock
  pip_options := --extra-index-url $(TORCH_CPU_INDEX)
else
  $(error TORCH is '$(TORCH)': say TORCH=default or TORCH=cpu)
endif

# Written last, so an environment without it is half made. Its name tells the lock's contents and the checkout's place
# (a virtual environment cannot be moved): when either changes, the environment is made anew.
whole := $(VENV)/whole-$(TORCH)-$(firstword $(shell { cat "$(LOCK)" 2>/dev/null; pwd; } | cksum))
in_env := . $(VENV)/bin/activate &&

# What cluster modules put here would shadow the locked packages
unexport PYTHONPATH PYTHONHOME

.PHONY: help demo test env lint benchmarks lock clean

help: ## list targets and variables
	@echo "Targets:"
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  %-16s %s\n", $$1, $$2 }' Makefile
	@echo "Variables:"
	@awk -F ' [?]= |## ' '/^[A-Z_]+ [?]= .*## / { printf "  %-16s %s\n", $$1, $$3 }' Makefile

demo: env ## reproduce both papers at the demo scale, from data to the site
	$(in_env) $(SNAKEMAKE) --cores $(CORES) all site
	@echo "The site is $(CURDIR)/results/demo/site/index.html"

test: env ## run every test
	$(in_env) $(PYTEST)

env: $(whole) ## make the environment, unless it is there already

lint: env ## check the style of code and workflow
	$(in_env) ruff check
	$(in_env) ruff format --check
	$(in_env) snakefmt --check Snakefile rules
	$(in_env) $(SNAKEMAKE) --lint

benchmarks: env ## time our code against the straightforward versions
	$(in_env) python -m benchmarks

lock: ## bring the locks up to date with envs/requirements.in (needs uv; versions that still fit stay)
	uv pip compile --universal --python-version 3.11 --fork-strategy fewest --generate-hashes --no-annotate --quiet \
		--custom-compile-command "make lock" --output-file envs/requirements.lock envs/requirements.in
	"$(PYTHON)" envs/derive.py

clean: ## remove the demo's results (never data, nor the results of the larger scales)
	rm -rf results/demo

$(whole): | $(LOCK)
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "Closer Look needs Python 3.11 or newer, but '$(PYTHON)' is '$$("$(PYTHON)" --version 2>&1)':" \
			"name another, as in make env PYTHON=/usr/bin/python3.12" >&2; exit 1; }
	@test ! -e $(VENV) || test -e $(VENV)/pyvenv.cfg || { \
		echo "$(VENV) is no virtual environment and stays as it is:" \
			"move it away, or name another place, as in make env VENV=.venv-2" >&2; exit 1; }
	"$(PYTHON)" -m venv --clear $(VENV)
	$(VENV)/bin/python -m pip install --disable-pip-version-check $(pip_options) -r "$(LOCK)"
	@$(VENV)/bin/python -c 'import pathlib, sysconfig; \
		pathlib.Path(sysconfig.get_path("purelib"), "closer-look.pth").write_text(f"{pathlib.Path.cwd()}\n")'
	@touch $@
	@echo "The environment $(VENV) is ready: $$($(VENV)/bin/python --version), $(LOCK)"

# Closer Look in two commands: `make demo` goes from nothing to the site, `make test` from nothing to the tests' verdict.
# Needed: Python 3.11 or newer (3.11 to 3.13 have every package ready-made) and make. `make` alone lists what there is.

# Variables, given as in `make demo TORCH=cpu CORES=4`
PYTHON ?= $(ready_python)## the Python that makes the environment
VENV ?= .venv## where the environment is
TORCH ?= $(if $(wildcard $(VENV)/whole-cpu-*),cpu,default)## default (with CUDA, 6 GB) or cpu (1.5 GB); the environment remembers
CORES ?= all## how many cores the workflow may use
TORCH_CPU_INDEX ?= https://download.pytorch.org/whl/cpu## where PyTorch's CPU wheels come from
WHEELHOUSE ?= ## a folder of wheels: `make wheelhouse` fills it, and `make env` installs from it alone, without a network
SYSTEM_TORCH ?= $(if $(wildcard $(VENV)/whole-system-*),1)## 1 keeps the torch and torchvision of PYTHON; the environment remembers
FOR_PYTHON ?= 3.12## the Python version that `make wheelhouse` collects for
FOR_MACHINE ?= x86_64## its processor: x86_64 or aarch64, with Linux
INSTALLED ?= ## a file that lists what that machine has, as `pip freeze` does; its wheels are left out
EVERYTHING ?= ## 1 collects also what the site, the tests and people at a desk need
SNAKEMAKE ?= snakemake## with any options of your own
PYTEST ?= pytest## with any options of your own
GPU_CHECK ?= ## options of `make gpu-check`, such as --stages 1,2

# The first of these that is fit, else python3, of which the check below will complain
ready_python = $(shell for python in python3 python3.13 python3.12 python3.11 python3; do \
	$$python -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null && break; done; echo $$python)

ifneq ($(WHEELHOUSE)$(wildcard $(VENV)/wheels.lock),)
  offline := 1
endif
ifneq ($(if $(filter wheelhouse,$(MAKECMDGOALS)),,$(offline)),)
  LOCK ?= $(if $(WHEELHOUSE),$(WHEELHOUSE)/requirements.txt,$(VENV)/wheels.lock)
  pip_options := --no-index --no-deps --require-hashes --find-links "$(WHEELHOUSE)"
else ifeq ($(TORCH),default)
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
whole := $(VENV)/whole-$(if $(SYSTEM_TORCH),system,$(TORCH))-$(firstword $(shell { cat "$(LOCK)" 2>/dev/null; pwd; } | cksum))
in_env := . $(VENV)/bin/activate &&

# What cluster modules put here would shadow the locked packages
unexport PYTHONPATH PYTHONHOME

# Snakemake and Matplotlib keep caches in the home folder; where that cannot be written, their place is a temporary one.
ifeq ($(shell test -w "$$HOME" || test -n "$$XDG_CACHE_HOME" || echo closed),closed)
  export XDG_CACHE_HOME := $(or $(TMPDIR),/tmp)/closer-look-cache
  export MPLCONFIGDIR ?= $(XDG_CACHE_HOME)/matplotlib
endif

.PHONY: help demo test env wheelhouse lint benchmarks gpu-check lock clean

help: ## list targets and variables
	@echo "Targets:"
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-16s %s\n", $$1, $$2 }' Makefile
	@echo "Variables:"
	@awk -F ' [?]= |## ' '/^[A-Z_]+ [?]= .*## / { printf "  %-16s %s\n", $$1, $$3 }' Makefile

demo: env ## reproduce both papers at the demo scale, from data to the site
	$(in_env) $(SNAKEMAKE) $$(test -t 1 && echo --logger rich) --cores $(CORES) all site
	@echo "The site is $(CURDIR)/results/demo/site/index.html"

test: env ## run every test
	$(in_env) $(PYTEST)

env: $(whole) ## make the environment, unless it is there already

wheelhouse: ## collect what the lock names in WHEELHOUSE, for a machine without a network
	@test -n "$(WHEELHOUSE)" || { echo "Name a folder: make wheelhouse WHEELHOUSE=wheels" >&2; exit 1; }
	$(if $(filter cpu,$(TORCH)),PIP_EXTRA_INDEX_URL=$(TORCH_CPU_INDEX)) \
	"$(PYTHON)" envs/wheelhouse.py --into "$(WHEELHOUSE)" --lock "$(LOCK)" --python $(FOR_PYTHON) --machine $(FOR_MACHINE) \
		$(if $(SYSTEM_TORCH),--system-torch) $(if $(EVERYTHING),--everything) $(if $(INSTALLED),--installed "$(INSTALLED)")

lint: env ## check the style of code and workflow
	$(in_env) ruff check
	$(in_env) ruff format --check
	$(in_env) snakefmt --check Snakefile rules
	$(in_env) $(SNAKEMAKE) --lint

benchmarks: env ## time our code against the straightforward versions
	$(in_env) python -m benchmarks

gpu-check: env ## measure a GPU in stages: its rate, training, the tests that need it, and figures (options in GPU_CHECK)
	$(in_env) python -m workflow_scripts.commands.gpu_check $(GPU_CHECK)

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
	$(if $(SYSTEM_TORCH),"$(PYTHON)" envs/system_torch.py)
	"$(PYTHON)" -m venv --clear $(if $(offline),--without-pip) $(VENV)
	$(if $(offline),"$(PYTHON)" -m pip --python $(VENV)/bin/python,$(VENV)/bin/python -m pip) \
		install --disable-pip-version-check $(pip_options) -r "$(LOCK)"
	$(if $(offline),@cp "$(LOCK)" $(VENV)/wheels.lock)
	@$(VENV)/bin/python -c 'import pathlib, sysconfig; \
		pathlib.Path(sysconfig.get_path("purelib"), "closer-look.pth").write_text(f"{pathlib.Path.cwd()}\n")'
	$(if $(SYSTEM_TORCH),"$(PYTHON)" envs/system_torch.py \
		"$$($(VENV)/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')")
	@touch $@
	@echo "The environment $(VENV) is ready: $$($(VENV)/bin/python --version), $(LOCK)"

# The habits of the project. `make dev` makes a virtual environment; every other target uses it when it is there.
PYTHON := $(if $(wildcard .venv/bin/python),.venv/bin/python,python3)
CLANG_FORMAT := $(if $(wildcard .venv/bin/clang-format),.venv/bin/clang-format,clang-format)
C_FILES := $(shell find csrc tests/c -name '*.[ch]')
CTEST := $(PYTHON) tests/c/run.py

.PHONY: dev test asan tsan bench fuzz portable format lint stubs full clean

dev: ## a virtual environment with an editable install and the tools
	python3 -m venv .venv
	.venv/bin/pip install --quiet --upgrade pip
	.venv/bin/pip install --quiet -e '.[data,plot,test]' ruff clang-format==23.1.5 mypy scikit-learn

test: ## the whole test suite
	$(PYTHON) -m pytest

asan: ## C tests under AddressSanitizer and UndefinedBehaviorSanitizer
	$(CTEST) --sanitize address,undefined

tsan: ## tests of the threads under ThreadSanitizer
	$(CTEST) --sanitize thread --only test_team,test_graph,test_races

bench: ## speed against PyTorch and JAX (both must be installed)
	$(PYTHON) tests/benchmarks/run.py dense cnn

fuzz: ## property tests with many more examples than usual, spoilt files, hostile calls
	$(PYTHON) -m pytest tests -m hypothesis --hypothesis-profile=fuzz
	$(PYTHON) tests/reliability/run.py --size ci 5 6

# Linux on ARM under an emulator, Windows compiled and linked, and the portable level in plain C with vectors of width 1.
# The emulator itself cannot start threads after a fork, so the two tests that do are left out there.
portable: ## the core on other machines and compilers
	$(CTEST) --cc aarch64-linux-gnu-gcc --platform linux-aarch64 --runner 'qemu-aarch64 -L /usr/aarch64-linux-gnu' --leave-out fork
	$(CTEST) --cc x86_64-w64-mingw32-gcc --platform win-amd64 --build-only
	$(CTEST) --cc clang
	$(CTEST) --cc clang --platform plain --flags '-std=c11 -D_POSIX_C_SOURCE=200809L -DPN_VECTOR_BYTES=0'

format: ## formats C and Python
	$(CLANG_FORMAT) -i $(C_FILES)
	$(PYTHON) -m ruff format
	$(PYTHON) -m ruff check --fix

lint: ## what the continuous integration checks
	$(CLANG_FORMAT) --dry-run -Werror $(C_FILES)
	$(PYTHON) -m ruff check
	$(PYTHON) -m ruff format --check

stubs: ## pyneuro/_core.pyi from the compiled module
	$(PYTHON) csrc/tools/stubs.py

full: test asan tsan portable ## everything, the error of the vector mathematics, and the scorecard of reliability
	$(CTEST) --program accuracy.c
	$(PYTHON) tests/reliability/run.py --size ci

clean:
	rm -rf build dist *.egg-info pyneuro/_core*.so pyneuro/_core*.pyd

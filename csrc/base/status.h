/* Status codes and messages: how every entry point of the core reports failure.
 *
 * Three zones. Python checks meaning; C entry points check everything once, fill a pn_error and return a pn_status;
 * kernels and op functions are void and only assert. The core never prints, exits or aborts.
 */
#ifndef PN_BASE_STATUS_H
#define PN_BASE_STATUS_H

typedef enum pn_status {
    PN_OK = 0,
    PN_E_MEMORY,      /* MemoryError */
    PN_E_VALUE,       /* ValueError: right type, wrong content or shape */
    PN_E_TYPE,        /* TypeError: wrong dtype or kind of argument */
    PN_E_INDEX,       /* IndexError */
    PN_E_RUNTIME,     /* RuntimeError: right arguments at the wrong time */
    PN_E_NONFINITE,   /* FloatingPointError: NaN or Inf where a finite value is promised */
    PN_E_INTERRUPTED, /* the poll asked to stop; the Python exception is already set */
    PN_E_PYTHON       /* a Python callback failed; the Python exception is already set */
} pn_status;

typedef struct pn_error {
    pn_status status;
    char text[1024]; /* one sentence for the user, UTF-8, always terminated */
} pn_error;

#if defined(__MINGW32__)
#define PN_PRINTF(a, b) __attribute__((format(gnu_printf, a, b))) /* else the compiler checks against the old runtime, which lacks %zu */
#elif defined(__GNUC__)
#define PN_PRINTF(a, b) __attribute__((format(printf, a, b)))
#else
#define PN_PRINTF(a, b)
#endif

/* Stores status and message and returns status, so that callers can write `return pn_fail(err, ...)`. err may be NULL. */
pn_status pn_fail(pn_error *err, pn_status status, const char *format, ...) PN_PRINTF(3, 4);

/* Puts a prefix such as "Linear(784, 128) (layer 0): " in front of the stored message. */
void pn_error_prefix(pn_error *err, const char *prefix);

#endif

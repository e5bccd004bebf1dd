/* Arithmetic and logic on int64 tensors, with broadcasting: for indices, labels and masks. They have no gradient, so they are no ops and leave no node. */
#include "ops/broadcast.h"
#include "python/tensor_parts.h"

/* Floor division and its remainder, as in Python. b is not 0; INT64_MIN / -1 wraps as all of int64 does. */
static int64_t floor_div(int64_t a, int64_t b) {
    if (b == -1) return (int64_t)(0 - (uint64_t)a);
    return a / b - (a % b != 0 && (a < 0) != (b < 0));
}
static int64_t floor_mod(int64_t a, int64_t b) { return b == -1 ? 0 : a - floor_div(a, b) * b; }

static int64_t compute(pn_py_int_op op, int64_t a, int64_t b) {
    switch (op) { /* through uint64_t: overflow wraps */
    case PN_INT_ADD: return (int64_t)((uint64_t)a + (uint64_t)b);
    case PN_INT_SUB: return (int64_t)((uint64_t)a - (uint64_t)b);
    case PN_INT_MUL: return (int64_t)((uint64_t)a * (uint64_t)b);
    case PN_INT_MAX: return a > b ? a : b;
    case PN_INT_MIN: return a < b ? a : b;
    case PN_INT_FLOORDIV: return floor_div(a, b);
    case PN_INT_MOD: return floor_mod(a, b);
    case PN_INT_AND: return a & b;
    case PN_INT_OR: return a | b;
    case PN_INT_XOR: break;
    }
    return a ^ b;
}

static bool has_zero(const pn_tensor *t) {
    const int64_t *v = t->storage->data, n = pn_shape_size(&t->shape);
    for (int64_t i = 0; i < n; i++) {
        if (v[i] == 0) return true;
    }
    return false;
}

pn_tensor *pn_py_integers(pn_py_int_op op, pn_tensor *a, pn_tensor *b, pn_error *e) {
    static const char *const names[] = {"a", "b"};
    const pn_shape shapes[2] = {a->shape, b->shape};
    pn_infer q = {.n_in = 2, .in = shapes, .error = e};
    pn_shape out = {.dtype = PN_I64};
    if (pn_bcast_infer(&q, 2, names, &out)) return NULL;
    out.dtype = PN_I64;
    if ((op == PN_INT_FLOORDIV || op == PN_INT_MOD) && has_zero(b)) {
        pn_fail(e, PN_E_VALUE, "integer division by zero");
        return NULL;
    }
    pn_recording_read(pn_py_context(), a, "integer arithmetic");
    pn_recording_read(pn_py_context(), b, "integer arithmetic");
    pn_tensor *t = pn_tensor_new(&out, e);
    if (!t) return NULL;
    const pn_view in[2] = {{a->storage->data, a->shape}, {b->storage->data, b->shape}};
    pn_bcast bc;
    pn_bcast_init(&bc, &out, 2, in);
    const int64_t sa = bc.step[0][bc.rank - 1], sb = bc.step[1][bc.rank - 1];
    for (pn_bcast_walk w = pn_bcast_open(&bc, 0, pn_shape_size(&out)); pn_bcast_next(&w);) {
        const int64_t *pa = (const int64_t *)in[0].data + w.in[0], *pb = (const int64_t *)in[1].data + w.in[1];
        int64_t *y = (int64_t *)t->storage->data + w.at;
        for (int64_t i = 0; i < w.n; i++) y[i] = compute(op, pa[i * sa], pb[i * sb]);
    }
    const bool masks = (a->flags & PN_T_MASK) && (b->flags & PN_T_MASK);
    if (masks && (op == PN_INT_AND || op == PN_INT_OR || op == PN_INT_XOR)) t->flags |= PN_T_MASK;
    return t;
}

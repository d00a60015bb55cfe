/* The one way to the messages that protoc-c generates from Debian's onnx.proto; for src/model only.
 */
#ifndef MLY_MODEL_ONNX_PB_H
#define MLY_MODEL_ONNX_PB_H

#if defined(__GNUC__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpedantic"
#endif
#include "onnx.pb-c.h"
#if defined(__GNUC__)
#pragma GCC diagnostic pop
#endif

#endif

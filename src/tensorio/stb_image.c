/*
 * The library stb_image itself, as motley wants it: no files, five formats, sides bounded, our
 * allocation. Compiled apart from our code (meson.build says with which arguments); image_decode.c
 * calls it.
 */
#include "base/alloc.h"
#include "tensorio/image.h"

#define STBI_NO_STDIO
#define STBI_ONLY_JPEG
#define STBI_ONLY_PNG
#define STBI_ONLY_BMP
#define STBI_ONLY_GIF
#define STBI_ONLY_PNM
#define STBI_MAX_DIMENSIONS MLY_IMAGE_MAX_SIDE
#define STBI_MALLOC(bytes) mly_realloc_array(NULL, (bytes), 1)
#define STBI_REALLOC(p, bytes) mly_realloc_array((p), (bytes), 1)
#define STBI_FREE(p) mly_free(p)
#define STB_IMAGE_IMPLEMENTATION
#include <stb_image.h>

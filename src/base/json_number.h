/* Numbers as JSON text, shared by the reader's messages and the writer. */
#ifndef MLY_BASE_JSON_NUMBER_H
#define MLY_BASE_JSON_NUMBER_H

#define MLY__NUMBER_BYTES 48

/* The shortest text that reads back the same, whatever the locale; "null" for NaN and infinities.
 */
void mly__format_number(double number, char text[MLY__NUMBER_BYTES]);

#endif

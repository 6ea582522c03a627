/* Runs a SavedModel as TF Serving does, without Python: strings in, strings out.
 *
 *     run_saved_model DIRECTORY INPUT,... OUTPUT LIBRARY... < requests > answers
 *
 * INPUT and OUTPUT are tensors as a signature names them, "serving_default_text:0". Each LIBRARY is
 * one of TF Text's. A request is the number of rows, and then for every input, row by row, a string:
 * its length and its bytes; numbers are 32 bits in the machine's order. An answer is the same of one
 * output. XLA is turned off first, by the function that the server calls.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tensorflow/c/c_api.h"
#include "tensorflow/c/tf_tstring.h"

#define MOST_INPUTS 8

extern void _ZN10tensorflow21DisableXlaCompilationEv(void);

static TF_Status *status;

static void check(const char *what) {
  if (TF_GetCode(status) != TF_OK) {
    fprintf(stderr, "%s: code %d: %s\n", what, TF_GetCode(status), TF_Message(status));
    exit(1);
  }
}

static void fail(const char *what) {
  fprintf(stderr, "%s\n", what);
  exit(1);
}

/* "name:2" -> output 2 of the operation called name. */
static TF_Output find(TF_Graph *graph, const char *tensor) {
  char name[1024];
  const char *colon = strrchr(tensor, ':');
  if (colon == NULL || colon - tensor >= (long)sizeof name) fail("a tensor is NAME:NUMBER");
  memcpy(name, tensor, colon - tensor);
  name[colon - tensor] = 0;
  TF_Output found = {TF_GraphOperationByName(graph, name), atoi(colon + 1)};
  if (found.oper == NULL) fail("no such operation");
  return found;
}

static int read_number(uint32_t *number) { return fread(number, sizeof *number, 1, stdin) == 1; }

static TF_Tensor *read_strings(uint32_t rows) {
  int64_t shape[1] = {rows};
  TF_Tensor *tensor = TF_AllocateTensor(TF_STRING, shape, 1, rows * sizeof(TF_TString));
  TF_TString *strings = TF_TensorData(tensor);
  for (uint32_t row = 0; row < rows; row++) {
    uint32_t size;
    if (!read_number(&size)) fail("a request ends early");
    char *bytes = malloc(size + 1);
    if (fread(bytes, 1, size, stdin) != size) fail("a string ends early");
    TF_StringInit(&strings[row]);
    TF_StringCopy(&strings[row], bytes, size);
    free(bytes);
  }
  return tensor;
}

static void write_strings(const TF_Tensor *tensor) {
  if (TF_TensorType(tensor) != TF_STRING) fail("the output is no string");
  uint32_t rows = TF_TensorElementCount(tensor);
  const TF_TString *strings = TF_TensorData(tensor);
  fwrite(&rows, sizeof rows, 1, stdout);
  for (uint32_t row = 0; row < rows; row++) {
    uint32_t size = TF_StringGetSize(&strings[row]);
    fwrite(&size, sizeof size, 1, stdout);
    fwrite(TF_StringGetDataPointer(&strings[row]), 1, size, stdout);
  }
}

int main(int argc, char **argv) {
  if (argc < 4) fail("usage: run_saved_model DIRECTORY INPUT,... OUTPUT LIBRARY...");
  _ZN10tensorflow21DisableXlaCompilationEv();
  status = TF_NewStatus();
  for (int i = 4; i < argc; i++) {
    TF_LoadLibrary(argv[i], status);
    check(argv[i]);
  }
  const char *tags[] = {"serve"};
  TF_Graph *graph = TF_NewGraph();
  TF_SessionOptions *options = TF_NewSessionOptions();
  TF_Session *session = TF_LoadSessionFromSavedModel(options, NULL, argv[1], tags, 1, graph,
                                                     TF_NewBuffer(), status);
  check("loading");
  TF_Output inputs[MOST_INPUTS];
  int count = 0;
  for (char *name = strtok(argv[2], ","); name != NULL; name = strtok(NULL, ",")) {
    if (count == MOST_INPUTS) fail("too many inputs");
    inputs[count++] = find(graph, name);
  }
  TF_Output output = find(graph, argv[3]);
  uint32_t rows;
  while (read_number(&rows)) {
    TF_Tensor *values[MOST_INPUTS], *answer = NULL;
    for (int i = 0; i < count; i++) values[i] = read_strings(rows);
    TF_SessionRun(session, NULL, inputs, values, count, &output, &answer, 1, NULL, 0, NULL, status);
    check("running");
    write_strings(answer);
    for (int i = 0; i < count; i++) TF_DeleteTensor(values[i]);
    TF_DeleteTensor(answer);
  }
  return 0;
}

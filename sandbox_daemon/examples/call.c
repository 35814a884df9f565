/* Calls a function of an untrusted program, with hiredis.
 *
 *   cc call.c -o call -lhiredis && ./call /run/azr-sandboxd.sock
 */
#include <hiredis/hiredis.h>
#include <stdio.h>
#include <string.h>

static const char* kProgram =
    "def f(x):\n"
    "    return sorted(x)[::-1]\n";

/* The value of `name` in a map, which RESP2 sends as a flat array of names and values. */
static const redisReply* field(const redisReply* map, const char* name) {
  for (size_t i = 0; i + 1 < map->elements; i += 2) {
    if (strcmp(map->element[i]->str, name) == 0) return map->element[i + 1];
  }
  return NULL;
}

static void print_result(const redisReply* result) {
  const redisReply* value = field(result, "value");
  if (value->type == REDIS_REPLY_STRING) {
    printf("ok: %s\n", value->str);
  } else {
    const redisReply *type = field(result, "type"), *message = field(result, "message");
    printf("%s: %s: %s\n", field(result, "verdict")->str, type->str ? type->str : "",
           message->str ? message->str : "");
  }
}

int main(int argc, char** argv) {
  redisContext* daemon = redisConnectUnix(argc > 1 ? argv[1] : "/run/azr-sandboxd.sock");
  if (daemon == NULL || daemon->err) {
    fprintf(stderr, "cannot connect: %s\n", daemon ? daemon->errstr : "out of memory");
    return 1;
  }
  /* Two cases: the words are sent with their lengths, so nothing needs quoting. */
  redisReply* reply =
      redisCommand(daemon, "CALL %s f 2 %s %s TIMEOUT 5000", kProgram, "[3, 1, 2]", "None");
  if (reply == NULL || reply->type == REDIS_REPLY_ERROR) { /* what a program does is no error */
    fprintf(stderr, "refused: %s\n", reply ? reply->str : daemon->errstr);
    return 1;
  }
  const redisReply* results = field(reply, "results");
  for (size_t i = 0; i < results->elements; ++i) print_result(results->element[i]);
  freeReplyObject(reply);
  redisFree(daemon);
  return 0;
}

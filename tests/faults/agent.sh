#!/bin/sh
# A claude that costs 3 ms: it keeps sessions as the real one does, and does what the file play/TASK.TURN says.
# The turn is how many turns this session has finished; a run that is cut off plays its turn again.
state=$(dirname "$0")
task=${DROPBOX_RUNNER_TASK_DIR##*/}
for argument; do
    case $argument in
    --session-id=*) how=start session=${argument#*=} ;;
    --resume=*) how=resume session=${argument#*=} ;;
    esac
done
finished=$state/sessions/$session
question=
prompt=$(cat)
if [ $how = start ] && [ -e "$finished" ]; then
    echo "$task refused $session" >>"$state/calls"
    echo "Error: Session ID $session is already in use." >&2
    exit 1
fi
if [ $how = resume ] && [ ! -e "$finished" ]; then
    echo "$task unknown $session" >>"$state/calls"
    printf '{"type":"result","subtype":"error_during_execution","is_error":true,"num_turns":0,"session_id":"%s","errors":["No conversation found with session ID: %s"]}\n' "$session" "$session"
    exit 1
fi
echo "$task $how $session" >>"$state/calls"
printf '%s\n' "$prompt" >>"$state/prompts"
turn=0
[ $how = start ] && : >"$finished"
while read -r _; do turn=$((turn + 1)); done <"$finished"

line() { printf "$@"; }
# Everything that a turn ends with. It is remembered before it is said, as whoever has seen the result may resume at once;
# and nobody copies the folder in between: a session that does not know of its own question would ask it again.
result() { (flock 9 && finish) 9>>"$state/../person.lock"; }
finish() {
    [ -z "$question" ] || leave_question
    echo turn >>"$finished"
    line '{"type":"result","subtype":"%s","is_error":%s,"num_turns":1,"session_id":"%s","total_cost_usd":%s,"permission_denials":[%s],"result":"%s"%s}\n' \
        "${subtype:-success}" "${error:-false}" "$session" "${cost:-0.5}" "$denied" "${text:-All done.}" "$more"
}
# As durably as `dropbox-runner ask` does it.
leave_question() {
    printf '{"text": "%s"}' "$question" >"$DROPBOX_RUNNER_QUESTION_FILE.tmp"
    sync "$DROPBOX_RUNNER_QUESTION_FILE.tmp"
    mv "$DROPBOX_RUNNER_QUESTION_FILE.tmp" "$DROPBOX_RUNNER_QUESTION_FILE"
    sync "$DROPBOX_RUNNER_TASK_DIR"
}
ask() { question=$1; }
wait_for() { while [ ! -e "$state/$1" ]; do sleep 0.02; done; }

line '{"type":"system","subtype":"init","session_id":"%s"}\n' "$session"
line '{"type":"assistant","message":{"content":[{"type":"text","text":"working"}]}}\n'
[ -e "$state/play/$task.$turn" ] && . "$state/play/$task.$turn"
result

"""An SSH server that has nothing in common with ours: how it lets in is told by the user name.

Arguments: host key file, Base64 of the key that may log in. Reads the password from the first line of its input, prints its port, then one line of JSON
for each attempt to log in. Ends with its input.
"""
import base64, json, socket, sys, threading
import paramiko

password = sys.stdin.readline().rstrip('\n')
authorized = {sys.argv[2]}
METHODS = {
    'password': 'password',
    'dialogue': 'keyboard-interactive',
    'second': 'keyboard-interactive',
    'again': 'keyboard-interactive',
    'change': 'keyboard-interactive',
    'many': 'keyboard-interactive',
    'loose': 'password,keyboard-interactive',
    'neither': 'gssapi-with-mic,hostbased',
    'anyone': 'publickey',
}
QUESTIONS = {
    'dialogue': [('Password: ', False)],
    'second': [('Password: ', False)],
    'again': [('Password: ', False)],
    'change': [('(current) UNIX password: ', False), ('New password: ', False)],
    'many': [('Password: ', False)] * 40,
    'loose': [('Password: ', False)],
}


class Server(paramiko.ServerInterface):
    def __init__(self):
        self.stage = 0

    def tell(self, user, method, **more):
        print(json.dumps({'user': user, 'method': method, **more}), flush=True)

    def get_allowed_auths(self, user):
        if user == 'two':
            return 'publickey' if self.stage == 0 else 'password'
        if user == 'reverse':
            return 'password' if self.stage == 0 else 'publickey'
        return METHODS[user]

    def check_auth_none(self, user):
        self.tell(user, 'none')
        return paramiko.AUTH_SUCCESSFUL if user == 'anyone' else paramiko.AUTH_FAILED

    def check_auth_password(self, user, given):
        right = given == password
        self.tell(user, 'password', right=right)
        if not right or 'password' not in self.get_allowed_auths(user) or user == 'loose':
            return paramiko.AUTH_FAILED
        if user == 'reverse':
            self.stage = 1
            return paramiko.AUTH_PARTIALLY_SUCCESSFUL
        return paramiko.AUTH_SUCCESSFUL

    def check_auth_publickey(self, user, key):
        right = base64.b64encode(key.asbytes()).decode() in authorized
        self.tell(user, 'publickey', right=right)
        if not right or 'publickey' not in self.get_allowed_auths(user):
            return paramiko.AUTH_FAILED
        if user == 'two':
            self.stage = 1
            return paramiko.AUTH_PARTIALLY_SUCCESSFUL
        return paramiko.AUTH_SUCCESSFUL

    def check_auth_interactive(self, user, submethods):
        self.tell(user, 'keyboard-interactive')
        self.user = user
        if user not in QUESTIONS:
            return paramiko.AUTH_FAILED
        return paramiko.InteractiveQuery('', '', *QUESTIONS[user])

    def check_auth_interactive_response(self, responses):
        right = responses == [password]
        self.tell(self.user, 'response', right=right)
        if self.user == 'again':
            return paramiko.InteractiveQuery('', '', ('Password: ', False))
        if self.user == 'second' and self.stage == 0:
            self.stage = 1
            return paramiko.InteractiveQuery('', '', ('Verification code: ', False))
        return paramiko.AUTH_SUCCESSFUL if right else paramiko.AUTH_FAILED


def serve(connection):
    transport = paramiko.Transport(connection)
    transport.add_server_key(paramiko.RSAKey(filename=sys.argv[1]))
    try:
        transport.start_server(server=Server())
    except Exception:
        transport.close()


listener = socket.create_server(('127.0.0.1', 0))
print(listener.getsockname()[1], flush=True)


def accept():
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=serve, args=(connection,), daemon=True).start()


threading.Thread(target=accept, daemon=True).start()
for line in sys.stdin:
    # Whoever asks has then read all that was told before.
    print(json.dumps({'user': '', 'method': line.strip()}), flush=True)

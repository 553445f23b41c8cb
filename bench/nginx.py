"""nginx with one worker, which answers by itself: where it is, and its configuration."""

import os
import shutil

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def find():
    """The nginx of the machine, or what tools/install-peers unpacked; None without both."""
    unpacked = os.path.join(ROOT, ".tools", "peers", "nginx", "usr", "sbin", "nginx")
    return shutil.which("nginx") or shutil.which(unpacked)


def command(program, folder, servers):
    """The command that runs it with these `server` blocks; its files are in the folder."""
    config = f"""
daemon off; master_process off; worker_processes 1; pid {folder}/pid; error_log stderr error;
events {{ worker_connections 20000; }}
http {{
  access_log off; default_type "text/plain; charset=utf-8"; keepalive_requests 1000000000;
  keepalive_timeout 3600s; client_body_temp_path {folder}; proxy_temp_path {folder};
  fastcgi_temp_path {folder}; uwsgi_temp_path {folder}; scgi_temp_path {folder};
  {servers}
}}
"""
    path = os.path.join(folder, "nginx.conf")
    with open(path, "w", encoding="utf-8") as file:
        file.write(config)
    return [program, "-p", folder, "-c", path]

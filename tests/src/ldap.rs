//! A real slapd with a directory of its own on loopback, ended by its id.

use crate::process::Process;
use crate::{eventually, free_port};
use std::fs;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// Whom everything belongs to, and the password of everybody who has one.
pub const SUFFIX: &str = "dc=example,dc=org";
pub const PASSWORD: &str = "pencil";

/// When the people of [`people`] came, as LDAP writes times.
const OLD: &str = "20200101000000Z";

/// One server.
pub struct Slapd {
    dir: PathBuf,
    pub port: u16,
    url: String,
    process: Option<Process>,
}

impl Slapd {
    /// A server in `dir` with these entries, loaded and not started. `scheme` is `ldap` or `ldaps`.
    pub fn loaded(dir: &Path, scheme: &str, ldif: &Path) -> Slapd {
        fs::create_dir_all(dir.join("db")).unwrap();
        let port = free_port();
        certificate(dir);
        fs::write(dir.join("slapd.conf"), configuration(dir)).unwrap();
        let load = ["-q", "-f", "slapd.conf", "-l"];
        run(Command::new("/usr/sbin/slapadd").args(load).arg(ldif).current_dir(dir));
        Slapd { dir: dir.to_path_buf(), port, url: format!("{scheme}://127.0.0.1:{port}"), process: None }
    }

    /// A second one with the same entries.
    pub fn copied(&self, dir: &Path, scheme: &str) -> Slapd {
        let nothing = dir.with_extension("ldif");
        fs::write(&nothing, "").unwrap();
        let copy = Slapd::loaded(dir, scheme, &nothing);
        fs::copy(self.dir.join("db/data.mdb"), dir.join("db/data.mdb")).unwrap();
        copy
    }

    /// As the document names it.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The authority of its certificate.
    pub fn ca(&self) -> PathBuf {
        self.dir.join("cert.pem")
    }

    /// Its place becomes that of another one.
    pub fn on_the_port_of(mut self, other: &Slapd) -> Slapd {
        (self.port, self.url) = (other.port, other.url.clone());
        for name in ["cert.pem", "key.pem"] {
            fs::copy(other.dir.join(name), self.dir.join(name)).unwrap();
        }
        self
    }

    pub fn start(&mut self) {
        let mut command = Command::new("/usr/sbin/slapd");
        command.args(["-d", "0", "-f", "slapd.conf", "-h", &self.url]).current_dir(&self.dir);
        let process = Process::start(&mut command, &self.dir.join("slapd.log"));
        let port = self.port;
        eventually("slapd answers", Duration::from_secs(20), || TcpStream::connect(("127.0.0.1", port)).is_ok());
        self.process = Some(process);
    }

    /// kill -9.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// Changes as `ldapmodify` reads them, made by the administrator.
    pub fn modify(&self, ldif: &str) {
        let file = self.dir.join("change.ldif");
        fs::write(&file, ldif).unwrap();
        let admin = format!("cn=admin,{SUFFIX}");
        let mut command = Command::new("ldapmodify");
        command.args(["-x", "-H", &self.url, "-D", &admin, "-w", PASSWORD, "-f"]).arg(&file);
        run(command.env("LDAPTLS_REQCERT", "never"));
    }
}

fn certificate(dir: &Path) {
    let pair = rcgen::generate_simple_self_signed(["127.0.0.1".to_string()]).unwrap();
    fs::write(dir.join("cert.pem"), pair.cert.pem()).unwrap();
    fs::write(dir.join("key.pem"), pair.signing_key.serialize_pem()).unwrap();
}

fn configuration(dir: &Path) -> String {
    let dir = dir.display();
    format!(
        "include /etc/ldap/schema/core.schema\ninclude /etc/ldap/schema/cosine.schema\ninclude /etc/ldap/schema/inetorgperson.schema\n\
         attributetype ( 1.3.6.1.4.1.7914.1.2.1.3 NAME 'mailAlternateAddress' EQUALITY caseIgnoreIA5Match SYNTAX 1.3.6.1.4.1.1466.115.121.1.26 )\n\
         attributetype ( 1.3.6.1.4.1.7914.1.2.1.5 NAME 'mailForwardingAddress' EQUALITY caseIgnoreIA5Match SYNTAX 1.3.6.1.4.1.1466.115.121.1.26 )\n\
         objectclass ( 1.3.6.1.4.1.7914.1.2.2.1 NAME 'qmailUser' SUP top AUXILIARY MAY ( mail $ mailAlternateAddress $ mailForwardingAddress ) )\n\
         modulepath /usr/lib/ldap\nmoduleload back_mdb\nmoduleload ppolicy\n\
         pidfile {dir}/slapd.pid\nTLSCertificateFile {dir}/cert.pem\nTLSCertificateKeyFile {dir}/key.pem\n\
         database mdb\nsuffix \"{SUFFIX}\"\nrootdn \"cn=admin,{SUFFIX}\"\nrootpw {PASSWORD}\ndirectory {dir}/db\nmaxsize 1073741824\n\
         sizelimit 500\nlimits dn.exact=\"cn=reader,{SUFFIX}\" size.prtotal=unlimited\n\
         dbnosync\nindex objectClass,mail,uid,modifyTimestamp eq\noverlay ppolicy\nppolicy_default \"cn=policy,{SUFFIX}\"\n\
         access to attrs=userPassword by anonymous auth by * none\naccess to * by users read by anonymous auth\n"
    )
}

/// Runs a command to its end; it must succeed.
pub fn run(command: &mut Command) -> String {
    let out = command.stdin(Stdio::null()).output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    let text = format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    assert!(out.status.success(), "{command:?} ended with {}:\n{text}", out.status);
    text
}

/// Entries of `people` users, `u0` to the last, a group, and somebody who may read them all.
pub fn people(file: &Path, people: usize) {
    let mut text = format!(
        "dn: {SUFFIX}\nobjectClass: organization\nobjectClass: dcObject\no: example\ndc: example\n\n\
         dn: ou=people,{SUFFIX}\nobjectClass: organizationalUnit\nou: people\n\n\
         dn: cn=reader,{SUFFIX}\nobjectClass: organizationalRole\nobjectClass: simpleSecurityObject\ncn: reader\nuserPassword: {PASSWORD}\n\n\
         dn: cn=policy,{SUFFIX}\nobjectClass: organizationalRole\nobjectClass: pwdPolicy\ncn: policy\npwdAttribute: userPassword\npwdLockout: TRUE\n\n\
         dn: cn=team,ou=people,{SUFFIX}\nobjectClass: groupOfNames\nobjectClass: qmailUser\ncn: team\nmail: team@example.org\n\
         member: uid=u1,ou=people,{SUFFIX}\nmember: uid=u2,ou=people,{SUFFIX}\n\n"
    );
    // Of long ago, so that who asks for changes is not told all of them.
    let old = |entry: String| {
        format!("{}createTimestamp: {OLD}\nmodifyTimestamp: {OLD}\n\n", entry.trim_end_matches('\n').to_owned() + "\n")
    };
    (0..people).for_each(|i| text.push_str(&old(person(&format!("u{i}")))));
    fs::write(file, text).unwrap();
}

/// The entry of one user: `uid@example.org`, `uid.alias@example.org`.
pub fn person(uid: &str) -> String {
    format!(
        "dn: uid={uid},ou=people,{SUFFIX}\nobjectClass: inetOrgPerson\nobjectClass: qmailUser\nuid: {uid}\ncn: {uid}\nsn: {uid}\n\
         mail: {uid}@example.org\nmailAlternateAddress: {uid}.alias@example.org\nuserPassword: {PASSWORD}\n\n"
    )
}

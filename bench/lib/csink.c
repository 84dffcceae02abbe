// csink PORT [p]: one-thread epoll SMTP sink; with p it first takes a PROXY v1 or v2 header. Throws mail away.
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
typedef struct{int fd,st,n,tn;char tail[8];char b[4096];}C; /* st: 0 proxy header, 1 command, 2 data */
static char buf[1<<18];
static int wr(int fd,const char*s,int n){while(n>0){int r=write(fd,s,n);if(r<0){if(errno==EAGAIN)continue;return -1;}s+=r;n-=r;}return 0;}
static int cmds(C*c){char out[8192];int on=0,q=0;for(;;){char*e=memchr(c->b,'\n',c->n);if(!e)break;int l=e-c->b+1;
  const char*r="250 2.0.0 ok\r\n";
  if(!strncasecmp(c->b,"DATA",4)){r="354 go\r\n";c->st=2;c->tn=0;}else if(!strncasecmp(c->b,"QUIT",4)){r="221 bye\r\n";q=1;}
  memcpy(out+on,r,strlen(r));on+=strlen(r);memmove(c->b,c->b+l,c->n-l);c->n-=l;if(c->st==2||q)break;}
  if(on&&wr(c->fd,out,on)<0)return -1;return q?-1:0;}
static int feed(C*c,char*p,int n){
  while(n>0){
    if(c->st==0){int k=n<(int)sizeof c->b-c->n?n:(int)sizeof c->b-c->n;memcpy(c->b+c->n,p,k);c->n+=k;p+=k;n-=k;int use=0;
      if(c->n>=16&&!memcmp(c->b,"\r\n\r\n\0\r\nQUIT\n",12)){int l=16+((unsigned char)c->b[14]<<8|(unsigned char)c->b[15]);if(c->n>=l)use=l;}
      else if(c->n>=6&&!memcmp(c->b,"PROXY ",6)){char*e=memchr(c->b,'\n',c->n);if(e)use=e-c->b+1;}
      else if(c->n>=16)return -1;
      if(!use)continue;
      memmove(c->b,c->b+use,c->n-use);c->n-=use;c->st=1;if(wr(c->fd,"220 sink\r\n",10)<0)return -1;if(cmds(c)<0)return -1;}
    else if(c->st==1){int k=n<(int)sizeof c->b-c->n?n:(int)sizeof c->b-c->n;if(!k)return -1;memcpy(c->b+c->n,p,k);c->n+=k;p+=k;n-=k;if(cmds(c)<0)return -1;
      if(c->st==2&&c->n){char t[4096];int m=c->n;memcpy(t,c->b,m);c->n=0;if(feed(c,t,m)<0)return -1;}}
    else{ /* the client waits for our reply after the dot, so it can only be at the end of what we have */
      if(n>=5){memcpy(c->tail,p+n-5,5);c->tn=5;}else{int keep=5-n<c->tn?5-n:c->tn;memmove(c->tail,c->tail+c->tn-keep,keep);memcpy(c->tail+keep,p,n);c->tn=keep+n;}
      n=0;if(c->tn==5&&!memcmp(c->tail,"\r\n.\r\n",5)){c->st=1;c->n=0;if(wr(c->fd,"250 2.0.0 queued\r\n",18)<0)return -1;}}
  }return 0;}
int main(int a,char**v){int px=a>2,s=socket(AF_INET,SOCK_STREAM|SOCK_NONBLOCK,0),o=1;setsockopt(s,SOL_SOCKET,SO_REUSEADDR,&o,4);
 struct sockaddr_in sa={.sin_family=AF_INET,.sin_port=htons(atoi(v[1])),.sin_addr.s_addr=htonl(INADDR_LOOPBACK)};
 if(bind(s,(void*)&sa,sizeof sa)||listen(s,2048)){perror("bind");return 1;}
 int e=epoll_create1(0);struct epoll_event ev={.events=EPOLLIN,.data.ptr=0},es[256];epoll_ctl(e,EPOLL_CTL_ADD,s,&ev);
 for(;;){int k=epoll_wait(e,es,256,-1);for(int i=0;i<k;i++){C*c=es[i].data.ptr;
  if(!c){for(;;){int f=accept4(s,0,0,SOCK_NONBLOCK);if(f<0)break;setsockopt(f,IPPROTO_TCP,TCP_NODELAY,&o,4);c=calloc(1,sizeof*c);c->fd=f;c->st=px?0:1;ev.data.ptr=c;ev.events=EPOLLIN;epoll_ctl(e,EPOLL_CTL_ADD,f,&ev);if(!px)wr(f,"220 sink\r\n",10);}continue;}
  int r=read(c->fd,buf,sizeof buf);if(r<0&&errno==EAGAIN)continue;if(r<=0||feed(c,buf,r)<0){close(c->fd);free(c);}}}}

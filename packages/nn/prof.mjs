import { createBackend } from '@updraft/backend';
import { buildStepProgram, modelSpecs, PREFIX, RandomStream } from '@updraft/core';
import * as nn from '@updraft/nn';
import { adamw, chain, clipByGlobalNorm } from '@updraft/rules';
const which=process.argv[2]??'cnn';
const backend = await createBackend({device:'cpu'});
const B= which==='gpt'?16: which==='mlp'?128:64;
const model= which==='gpt'?nn.gpt({vocabulary:256,context:128,width:128,depth:4,heads:4}): which==='mlp'?nn.mlp({input:[784],hidden:[512,512],classes:10}):nn.lenet({input:[1,28,28],classes:10});
const specs=modelSpecs(model);
const rule= process.argv[3]==='clip'?chain(clipByGlobalNorm(1),adamw({})):adamw({});
import('@updraft/core').then(async c=>{
 const init={params:specs.params,like:(s,i=0)=>({kind:'state',shape:s.shape,dataType:s.dataType,initial:i}),likeParams:(i=0)=>Object.fromEntries(Object.entries(specs.params).map(([k,s])=>[k,{kind:'state',shape:s.shape,dataType:'float32',initial:i}]))};
 const state=rule.init(init);
 const columns= which==='gpt'?{tokens:{dataType:'int64',shape:[B,128]},label:{dataType:'int64',shape:[B,128]}}:{image:{dataType:'float32',shape:which==='mlp'?[B,784]:[B,1,28,28]},label:{dataType:'int64',shape:[B]}};
 const src={model,specs,reward:nn.crossEntropy(),updateRule:rule,state,columns,phase:rule.phase?.(1)??'step',monitored:false,perExample:false};
 let t=performance.now(); const step=buildStepProgram(src); console.log('build',performance.now()-t,step.graph.nodes.length);
 for(const profile of [false,true]){
 t=performance.now(); const prog=await backend.compile(step.graph,{resident:step.reads,updates:step.updates,profile}); console.log('compile',performance.now()-t);
 const z={}; for(const n of prog.inputs){ if(!step.reads.includes(n.name)) continue; const cnt=n.shape.reduce((a,b)=>a*b,1); const r=RandomStream.fromSeed(1).split(n.name); const d=new Float32Array(cnt); if(n.name.startsWith('param/')) {r.fillNormal(d); for(let i=0;i<cnt;i++) d[i]*=0.05;} z[n.name]={dataType:'float32',dims:n.shape,data:d}; }
 const st=await backend.createState(z);
 const feeds={}; for(const n of prog.inputs){ if(step.reads.includes(n.name)) continue; const cnt=n.shape.reduce((a,b)=>a*b,1); if(n.dataType==='int64') feeds[n.name]={dataType:'int64',dims:n.shape,data:BigInt64Array.from({length:cnt},()=>BigInt(Math.floor(Math.random()*10)))}; else {const d=new Float32Array(cnt); RandomStream.fromSeed(2).fillNormal(d); feeds[n.name]={dataType:'float32',dims:n.shape,data:d};}}
 let k=1; const upd=()=>{for(const s of step.scalars) feeds['scalar/'+s.name].data[0]=s.at(k);k++};
 for(let i=0;i<5;i++){upd();await prog.step(st,feeds,[...step.metrics.values()]);}
 const ts=[]; for(let i=0;i<40;i++){upd();t=performance.now();await prog.step(st,feeds,[...step.metrics.values()]);ts.push(performance.now()-t);}
 ts.sort((a,b)=>a-b); console.log('median',ts[20].toFixed(2),'min',ts[0].toFixed(2));
 if(profile){const p=prog.profile(); console.log(p.runs,(p.milliseconds/p.runs).toFixed(2)); for(const e of p.byOperator.slice(0,16))console.log(e.name.padEnd(28),(e.milliseconds/p.runs).toFixed(3),e.calls/p.runs); console.log('--'); for(const e of p.byNode.slice(0,16))console.log(e.name.padEnd(40),(e.milliseconds/p.runs).toFixed(3));}
 }
});
